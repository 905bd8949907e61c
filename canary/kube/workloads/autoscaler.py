"""Patches on autoscalers, so that none scales stable below its initial size during a release."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from canary.kube.objects import Object
from canary.kube.workloads.names import CAPACITY, annotations_of
from canary.kube.workloads.patches import Patch, annotation_patch, expect_unchanged

MIN_REPLICAS = ("spec", "minReplicas")
_MIN_REPLICAS_PATH = "/" + "/".join(MIN_REPLICAS)


def select_autoscalers(target: str, found: Iterable[Object]) -> Iterator[Object]:
    """Yield the autoscalers that target the Deployment with this name."""
    for one in found:
        reference = one["spec"]["scaleTargetRef"]
        if reference.get("kind") == "Deployment" and reference.get("name") == target:
            yield one


def keda_owner(scalers: Iterable[Object]) -> str | None:
    """Return the KEDA ScaledObject that owns one of them, such as `ScaledObject auth`, or None.

    KEDA reverts changes of its autoscalers immediately, so the operator does not change those.
    """
    owners = (one for scaler in scalers for one in scaler["metadata"].get("ownerReferences") or ())
    return next((f"{one['kind']} {one['name']}" for one in owners if _is_keda(one)), None)


def _is_keda(owner: Object) -> bool:
    group = str(owner.get("apiVersion", "")).partition("/")[0]
    return group == "keda.sh" and owner.get("kind") == "ScaledObject"


def read_min_replicas(scalers: Iterable[Object]) -> int | None:
    """Return the smallest minReplicas that can be raised; None when there is none."""
    specs = [one["spec"] for one in scalers if keda_owner([one]) is None]
    floors = [(spec.get("minReplicas") or 1, spec["maxReplicas"]) for spec in specs]
    return min((least for least, most in floors if least < most), default=None)


def pin_patch(scaler: Object, replicas: int) -> Patch:
    """Return the patch that raises minReplicas; [] when it is high enough.

    The same write records the user's value in an annotation, so that no crash can lose it.
    """
    spec = scaler["spec"]
    was, floor = spec.get("minReplicas"), min(replicas, int(spec["maxReplicas"]))
    if (was if was is not None else 1) >= floor:
        return []
    note = json.dumps({"was": was, "set": floor})
    raised = {"op": "add", "path": _MIN_REPLICAS_PATH, "value": floor}
    guard = expect_unchanged(
        scaler, "/metadata/uid", *([_MIN_REPLICAS_PATH] if was is not None else [])
    )
    return [*guard, *annotation_patch(scaler, {CAPACITY: note}), raised]


def unpin_patch(scaler: Object) -> Patch:
    """Return the patch that restores minReplicas; [] without the annotation.

    A value that somebody has written since stays.
    """
    noted = annotations_of(scaler).get(CAPACITY)
    if noted is None:
        return []
    note = _read_note(noted)
    forget = annotation_patch(scaler, {CAPACITY: None})
    if not note or scaler["spec"].get("minReplicas") != note["set"]:
        return forget
    was = note.get("was")
    back: dict[str, Any] = {"op": "replace", "path": _MIN_REPLICAS_PATH, "value": was}
    if was is None:
        back = {"op": "remove", "path": _MIN_REPLICAS_PATH}
    return [*expect_unchanged(scaler, _MIN_REPLICAS_PATH), *forget, back]


def _read_note(note: str) -> dict[str, int | None]:
    """Parse the annotation; empty when a person has overwritten it."""
    try:
        found = json.loads(note)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and "set" in found else {}
