"""Releases that are stuck, and Deployments that somebody has forgotten to let go."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from canary.api import Reason
from canary.doctor.context import Patient
from canary.doctor.diagnosis import Diagnosis, doubtful, fine, unseen, wrong
from canary.errors import CanaryError
from canary.kube.objects import DEPLOYMENTS, Object
from canary.kube.workloads.names import HOLD, annotations_of
from canary.text.format import roughly

_SEEN_BY = 60.0
"""Seconds in which an operator that runs has looked at a new release."""
_GONE_BY = 300.0


def stuck(patient: Patient, releases: Sequence[Object]) -> Iterator[Diagnosis]:
    """Each release that a person has to do something about."""
    found = [one for release in releases for one in _one(patient, release)]
    found += _rivals(releases)
    yield from found
    if not found:
        few = "1 release is" if len(releases) == 1 else f"{len(releases)} releases are"
        yield fine("releases", f"{few} there, none of them stuck" if releases else "none yet")


def _one(patient: Patient, release: Object) -> Iterator[Diagnosis]:
    metadata, status = release["metadata"], release.get("status") or {}
    name, namespace = metadata["name"], metadata["namespace"]
    check, now = f"release {namespace}/{name}", patient.date()
    explain = f"canary explain {name} -n {namespace}"
    stalled = _condition(status, "Stalled")
    pause = (status.get("release") or {}).get("pause")
    if (gone := _since(metadata.get("deletionTimestamp"), now)) and gone > _GONE_BY:
        said = f"has been ending for {roughly(gone)}: its finalizer waits for the operator"
        yield wrong(check, said, "is the operator running? docs/install.md, Uninstall")
    elif not status.get("observedGeneration"):
        if (_since(metadata.get("creationTimestamp"), now) or 0) > _SEEN_BY:
            said = "no operator has ever looked at it"
            yield wrong(check, said, "is one running, and is this namespace one of its own?")
    elif pause:
        said = f"is paused ({pause.get('reason')}) and waits for a person"
        yield doubtful(check, said, f"{explain}; then canary resume, promote or abort")
    elif stalled is not None and _by_person(status.get("reason")):
        yield fine(check, f"was taken back by a person ({status.get('reason')})")
    elif stalled is not None:
        yield wrong(check, f"is stalled: {stalled}", explain)


def _by_person(reason: object) -> bool:
    return any(reason == known and known.info.by_person for known in Reason)


def _condition(status: Object, kind: str) -> str | None:
    """`Reason: message` of a condition that holds."""
    for one in status.get("conditions") or ():
        if one["type"] == kind and one["status"] == "True":
            return f"{one.get('reason')}: {one.get('message')}".rstrip(". ")
    return None


def _since(stamp: str | None, now: float | None) -> float | None:
    """Seconds since an RFC 3339 time."""
    if stamp is None or now is None:
        return None
    return now - datetime.fromisoformat(stamp).timestamp()


def _rivals(releases: Sequence[Object]) -> list[Diagnosis]:
    by_target: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in releases:
        target = (one["spec"].get("target") or {}).get("name", "")
        by_target[one["metadata"]["namespace"], target].append(one["metadata"]["name"])
    return [
        wrong(
            f"release {namespace}/{names[-1]}",
            f"guards Deployment {target}, as {', '.join(names[:-1])} does",
            "delete all but one of them",
        )
        for (namespace, target), names in by_target.items()
        if len(names) > 1
    ]


def orphans(patient: Patient, releases: Sequence[Object]) -> Iterator[Diagnosis]:
    """Deployments that are held by a release that is not there any more."""
    there = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in releases}
    try:
        deployments = patient.server.list(DEPLOYMENTS, patient.scope, {})
    except CanaryError as error:
        yield unseen("held Deployments", error, "ask somebody who may list deployments")
        return
    for one in deployments:
        namespace, holder = one["metadata"]["namespace"], annotations_of(one).get(HOLD)
        if holder is None or (namespace, holder) in there or not one["spec"].get("paused"):
            continue
        name = one["metadata"]["name"]
        said = f"Deployment {name} is still paused by CanaryRelease {holder}, which is gone"
        remedy = f"if its template is wanted: kubectl -n {namespace} annotate deployment {name} "
        remedy += f"{HOLD}- && kubectl -n {namespace} rollout resume deployment {name}"
        yield wrong(f"deployment {namespace}/{name}", said, remedy)
