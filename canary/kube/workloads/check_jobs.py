"""Checks as Jobs: builds them from the user's CronJobs, and reads their results."""

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from canary.api import CheckStatus, Verdict
from canary.kube.objects import JOBS, Object
from canary.kube.workloads.names import CHECK, MANAGED_BY, MANAGER, owner_references

ATTEMPTS = 3
"""Exit code of a check that rejects the canary; other codes but 0 mean that the check failed."""
KEPT_SECONDS = 86_400
"""Minimum time in seconds for which a finished Job is kept."""
_LINES, _CHARACTERS = 5, 400


def job_name(release: Object, check: str, attempt: str) -> str:
    """Return the Job's name, unique per release, check and attempt."""
    digest = hashlib.sha256(f"{release['metadata']['uid']}/{check}/{attempt}".encode()).hexdigest()
    return f"{release['metadata']['name'][:28]}-{check[:24]}-{digest[:8]}".replace(".", "-")


def build_job(
    cron_job: Object, release: Object, check: str, name: str, env: Mapping[str, str]
) -> Object:
    """Build the Job that the CronJob would create, with `env` in each container.

    The Job fails with its first failed pod unless the CronJob sets backoffLimit, and the kubelet
    stores the last log lines of a failed container in the pod's status.
    """
    template = cron_job["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    spec = deepcopy(template["spec"])
    spec.setdefault("backoffLimit", 0)
    spec["ttlSecondsAfterFinished"] = max(spec.get("ttlSecondsAfterFinished", 0), KEPT_SECONDS)
    pod = spec["template"]["spec"]
    for container in [*(pod.get("initContainers") or []), *pod["containers"]]:
        container["terminationMessagePolicy"] = "FallbackToLogsOnError"
        kept = [one for one in container.get("env") or [] if one["name"] not in env]
        container["env"] = [*kept, *({"name": key, "value": env[key]} for key in env)]
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": name,
            "namespace": cron_job["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), MANAGED_BY: MANAGER, CHECK: check},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": owner_references(release),
        },
        "spec": spec,
    }


def has_ended(job: Object) -> bool:
    """Return whether the Job has completed or failed."""
    return bool({"Complete", "Failed"} & _true_conditions(job).keys())


def read_job_result(check: str, job: Object, pods: Sequence[Object]) -> CheckStatus:
    """Return the result of a Job.

    The verdict is Pass or Fail when the check decided, Continue while it runs, and NoData when the
    Job failed without a decision.
    """
    conditions = _true_conditions(job)
    ends = [end for pod in pods for end in _list_terminations(pod) if end.get("exitCode")]
    failed = [end for end in ends if end["exitCode"] == ATTEMPTS]
    if failed:
        return CheckStatus(name=check, verdict=Verdict.FAIL, message=_last_lines(failed[-1]))
    if "Complete" in conditions:
        return CheckStatus(name=check, verdict=Verdict.PASS)
    if "Failed" not in conditions:
        return CheckStatus(name=check, verdict=Verdict.CONTINUE, message="running")
    why = conditions["Failed"].get("message") or "the Job failed"
    if ends:
        why = f"exit code {ends[-1]['exitCode']}: {_last_lines(ends[-1])}"
    return CheckStatus(name=check, verdict=Verdict.NO_DATA, message=why)


def canary_address(service: Object, name: str) -> str:
    """Return the URL of the Service `name`, at the first port of `service`."""
    port = service["spec"]["ports"][0]
    secure = "https" in {port.get("appProtocol"), port.get("name")} or port["port"] == 443  # noqa: PLR2004
    scheme = "https" if secure else "http"
    return f"{scheme}://{name}.{service['metadata']['namespace']}.svc:{port['port']}"


def _true_conditions(job: Object) -> dict[str, Any]:
    found = (job.get("status") or {}).get("conditions") or []
    return {one["type"]: one for one in found if one["status"] == "True"}


def _list_terminations(pod: Object) -> list[Any]:
    status = pod.get("status") or {}
    containers = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    states = [one.get(state) or {} for one in containers for state in ("lastState", "state")]
    return [state["terminated"] for state in states if "terminated" in state]


def _last_lines(end: Mapping[str, Any]) -> str:
    lines = str(end.get("message") or "").strip().splitlines()[-_LINES:]
    return "\n".join(lines)[-_CHARACTERS:] or "no message"
