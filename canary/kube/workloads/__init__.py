"""The user's Deployment and the canary beside it, in a cluster."""

from canary.kube.workloads.pause_mode import holding_mode
from canary.kube.workloads.target import Holding
from canary.kube.workloads.webhooks import Webhooks
from canary.kube.workloads.workloads import KubeWorkloads

__all__ = ["Holding", "KubeWorkloads", "Webhooks", "holding_mode"]
