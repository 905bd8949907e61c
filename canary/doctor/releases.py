"""Finds stuck releases, and Deployments that are still paused by a deleted release."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from canary.api import Reason
from canary.doctor.diagnosis import (
    Diagnosis,
    DoctorContext,
    report_error,
    report_ok,
    report_unknown,
    report_warning,
)
from canary.errors import CanaryError
from canary.kube.objects import DEPLOYMENTS, Object
from canary.kube.workloads.names import HOLD, annotations_of
from canary.text.format import rough_duration

_FIRST_RECONCILE = 60.0
"""Seconds within which a running operator reconciles a new release."""
_DELETION = 300.0
"""Seconds within which an operator completes the deletion of a release."""


def check_releases(context: DoctorContext, releases: Sequence[Object]) -> Iterator[Diagnosis]:
    """Report each release that needs a person."""
    found = [one for release in releases for one in _check_release(context, release)]
    found += _find_duplicate_targets(releases)
    yield from found
    if not found:
        few = "1 release is" if len(releases) == 1 else f"{len(releases)} releases are"
        yield report_ok("releases", f"{few} present, none is stuck" if releases else "none yet")


def _check_release(context: DoctorContext, release: Object) -> Iterator[Diagnosis]:
    metadata, status = release["metadata"], release.get("status") or {}
    name, namespace = metadata["name"], metadata["namespace"]
    check, now = f"release {namespace}/{name}", context.date()
    explain = f"canary explain {name} -n {namespace}"
    stalled = _true_condition(status, "Stalled")
    pause = (status.get("release") or {}).get("pause")
    if (gone := _seconds_since(metadata.get("deletionTimestamp"), now)) and gone > _DELETION:
        said = (
            f"has been terminating for {rough_duration(gone)}: its finalizer waits for the operator"
        )
        yield report_error(check, said, "start the operator, or see docs/install.md, Uninstall")
    elif not status.get("observedGeneration"):
        if (_seconds_since(metadata.get("creationTimestamp"), now) or 0) > _FIRST_RECONCILE:
            said = "has never been reconciled by an operator"
            yield report_error(check, said, "check that one runs and manages this namespace")
    elif pause:
        said = f"is paused ({pause.get('reason')}) and waits for a person"
        yield report_warning(check, said, f"{explain}; then canary resume, promote or abort")
    elif stalled is not None and _by_person(status.get("reason")):
        yield report_ok(check, f"was aborted by a person ({status.get('reason')})")
    elif stalled is not None:
        yield report_error(check, f"is stalled: {stalled}", explain)


def _by_person(reason: object) -> bool:
    return any(reason == known and known.info.by_person for known in Reason)


def _true_condition(status: Object, kind: str) -> str | None:
    """Return `Reason: message` of the condition if its status is True."""
    for one in status.get("conditions") or ():
        if one["type"] == kind and one["status"] == "True":
            return f"{one.get('reason')}: {one.get('message')}".rstrip(". ")
    return None


def _seconds_since(stamp: str | None, now: float | None) -> float | None:
    """Return the seconds since an RFC 3339 time."""
    if stamp is None or now is None:
        return None
    return now - datetime.fromisoformat(stamp).timestamp()


def _find_duplicate_targets(releases: Sequence[Object]) -> list[Diagnosis]:
    by_target: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in releases:
        target = (one["spec"].get("target") or {}).get("name", "")
        by_target[one["metadata"]["namespace"], target].append(one["metadata"]["name"])
    return [
        report_error(
            f"release {namespace}/{names[-1]}",
            f"has the same target as {', '.join(names[:-1])}: Deployment {target}",
            "delete all but one of them",
        )
        for (namespace, target), names in by_target.items()
        if len(names) > 1
    ]


def find_orphans(context: DoctorContext, releases: Sequence[Object]) -> Iterator[Diagnosis]:
    """Report Deployments that are paused by a release that no longer exists."""
    there = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in releases}
    try:
        deployments = context.server.list(DEPLOYMENTS, context.scope, {})
    except CanaryError as error:
        yield report_unknown(
            "held Deployments", error, "ask somebody with the right to list deployments"
        )
        return
    for one in deployments:
        namespace, holder = one["metadata"]["namespace"], annotations_of(one).get(HOLD)
        if holder is None or (namespace, holder) in there or not one["spec"].get("paused"):
            continue
        name = one["metadata"]["name"]
        said = f"Deployment {name} is still paused by CanaryRelease {holder}, which was deleted"
        remedy = f"to roll out its template: kubectl -n {namespace} annotate deployment {name} "
        remedy += f"{HOLD}- && kubectl -n {namespace} rollout resume deployment {name}"
        yield report_error(f"deployment {namespace}/{name}", said, remedy)
