"""The annotation on a Deployment that names the template that was rolled back.

Example: `{"template": "0f3a9c21d4be", "reason": "WorseThanStable", "at": "2026-11-30T12:00:00Z"}`.
"""

import json
import re
from datetime import UTC, datetime

from canary.api import Reason
from canary.core.snapshot import Rejection
from canary.kube.objects import Object
from canary.kube.workloads.names import REJECTED, RESTARTED_AT, annotations_of
from canary.kube.workloads.patches import Patch, annotation_patch, expect_unchanged
from canary.kube.workloads.target import TargetState
from canary.kube.workloads.template import template_hash, users_template

MAX_REASON = 1000
"""Maximum length of the annotation, in characters; the operator writes about a hundred."""
_HASH = re.compile(r"[0-9a-f]{12}")


def rejection_patch(seen: TargetState, rejection: Rejection | None) -> Patch:
    """Return the patch that writes or removes the annotation; [] for no change."""
    note = None if rejection is None else _format_rejection(rejection)
    steps = annotation_patch(seen.deployment, {REJECTED: note})
    return [*expect_unchanged(seen.deployment, "/metadata/uid"), *steps] if steps else []


def read_rejection(deployment: Object) -> Rejection | None:
    """Parse the annotation; None without one, or when it is invalid."""
    note = annotations_of(deployment).get(REJECTED, "")
    try:
        found = json.loads(note) if 0 < len(note) <= MAX_REASON else None
    except (ValueError, RecursionError):
        return None
    template = str(found.get("template")) if isinstance(found, dict) else ""
    if not isinstance(found, dict) or not _HASH.fullmatch(template):
        return None
    reason = next((one for one in Reason if one == found.get("reason")), Reason.REJECTED)
    return Rejection(template, reason, _parse_time(found.get("at")))


def rejected_templates(seen: TargetState) -> frozenset[str]:
    """Return the hashes of the rejected template and of its restarts.

    Only templates of the Deployment and of its ReplicaSets are considered.
    """
    rejection = read_rejection(seen.deployment)
    if rejection is None:
        return frozenset()
    return frozenset(
        found
        for one in (seen.deployment, *seen.sets)
        if rejection.template
        in {found := seen.hash_of(one), template_hash(_without_restart(one["spec"]["template"]))}
    )


def _without_restart(template: Object) -> Object:
    """Return the template without the annotation of `kubectl rollout restart`."""
    made = users_template(template)
    notes = made["metadata"].get("annotations") or {}
    if notes.pop(RESTARTED_AT, None) is not None and not notes:
        del made["metadata"]["annotations"]
    return made


def _format_rejection(rejection: Rejection) -> str:
    at = datetime.fromtimestamp(rejection.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"template": rejection.template, "reason": rejection.reason, "at": at})


def _parse_time(found: object) -> float:
    try:
        return datetime.fromisoformat(str(found)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
