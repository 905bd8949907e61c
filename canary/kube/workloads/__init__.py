"""`Workloads` in a cluster: the user's Deployment, the canary beside it, and checks."""

from canary.kube.workloads.pause_mode import read_pause_mode
from canary.kube.workloads.target import PauseMode
from canary.kube.workloads.webhooks import Webhooks
from canary.kube.workloads.workloads import KubeWorkloads

__all__ = ["KubeWorkloads", "PauseMode", "Webhooks", "read_pause_mode"]
