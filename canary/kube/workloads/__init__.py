"""The user's Deployment and the canary beside it, in a cluster."""

from canary.kube.workloads.pause_mode import read_pause_mode
from canary.kube.workloads.target import PauseMode
from canary.kube.workloads.webhooks import Webhooks
from canary.kube.workloads.workloads import KubeWorkloads

__all__ = ["KubeWorkloads", "PauseMode", "Webhooks", "read_pause_mode"]
