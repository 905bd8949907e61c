"""Translates pods into the core's model."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from canary.core.snapshot import Pod, PodFailure
from canary.kube.objects import Object

_ENDED = {"Succeeded", "Failed"}
_NO_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}


_MAX_MESSAGE = 400
"""Maximum length of a message from Kubernetes in a status, in characters."""


def parse_timestamp(timestamp: str) -> float:
    """Return an RFC 3339 timestamp in seconds since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp()


def is_alive(pod: Object) -> bool:
    """Return whether the pod neither terminates nor has ended, by eviction for example."""
    ended = (pod.get("status") or {}).get("phase") in _ENDED
    return not ended and not pod["metadata"].get("deletionTimestamp")


def parse_pod(pod: Object) -> Pod:
    """Translate one pod; without a Ready condition it is not ready."""
    status = pod.get("status") or {}
    containers = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    since = _ready_since(status)
    return Pod(
        name=pod["metadata"]["name"],
        ready=since is not None,
        ready_since=since,
        restarts=sum(int(one.get("restartCount", 0)) for one in containers),
        trouble=_find_failure(containers),
        lost_ready_at=None if since is not None else _lost_ready_at(status),
    )


def why_not_created(deployment: Object, pods: Iterable[Object]) -> str:
    """Return why pods of the Deployment do not start, in one short sentence; else empty.

    Reasons are a quota, a LimitRange or an admission policy that refuses the pod
    (`ReplicaFailure`), or an image that cannot be pulled.
    """
    for condition in (deployment.get("status") or {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return _one_sentence(f"{condition.get('reason')}: {condition.get('message')}")
    return next(filter(None, map(describe_pull_failure, pods)), "")


def describe_pull_failure(pod: Object) -> str:
    """Return why an image of the pod cannot be pulled, in one short sentence; else empty."""
    for one in (pod.get("status") or {}).get("containerStatuses") or []:
        waiting = (one.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason in _NO_IMAGE:
            known = "ErrImagePull" if reason == "ImagePullBackOff" else reason
            image, detail = one.get("image"), waiting.get("message", "")
            return _one_sentence(f"{known}: image {image} cannot be pulled: {detail}")
    return ""


def _one_sentence(text: str) -> str:
    return " ".join(text.split())[:_MAX_MESSAGE].rstrip(".: ") + "."


def _ready_since(status: Object) -> float | None:
    for condition in status.get("conditions") or []:
        if condition["type"] == "Ready" and condition["status"] == "True":
            return parse_timestamp(condition["lastTransitionTime"])
    return None


def _lost_ready_at(status: Object) -> float | None:
    """Return when the pod stopped being ready; None if it never was ready.

    The kubelet first writes Ready=False together with all other conditions, so before Initialized
    becomes true or in the same second. A pod that was ready in between has a later Ready=False.
    """
    times = {
        condition["type"]: parse_timestamp(condition["lastTransitionTime"])
        for condition in status.get("conditions") or []
        if condition["type"] in {"Ready", "Initialized"} and condition.get("lastTransitionTime")
    }
    lost, initialized = times.get("Ready"), times.get("Initialized")
    return lost if lost is not None and initialized is not None and lost > initialized else None


def _find_failure(containers: list[Any]) -> PodFailure | None:
    """Return the most severe failure among the container statuses."""
    waiting = {(one.get("state") or {}).get("waiting", {}).get("reason") for one in containers}
    ends = [
        (one.get(state) or {}).get("terminated", {}).get("reason")
        for one in containers
        for state in ("state", "lastState")
    ]
    if "OOMKilled" in ends:
        return PodFailure.OUT_OF_MEMORY
    if "CrashLoopBackOff" in waiting:
        return PodFailure.CRASH_LOOP
    return PodFailure.NO_IMAGE if waiting & _NO_IMAGE else None
