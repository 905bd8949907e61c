"""What a request is on its way to the API server: checked, written once, and waited for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from canary.api import Skip
from canary.cli.cluster import Session
from canary.cli.release_watch import Follow
from canary.cli.sights import sight_of
from canary.core.snapshot import Verb
from canary.errors import CanaryError, ConflictError, ExitCode, NotFoundError, UsageError
from canary.kube.objects import RELEASES, Object
from canary.kube.selected import patch_object, user_name
from canary.kube.workloads.names import REQUEST, annotations_of
from canary.kube.workloads.patches import annotation_patch, expect_unchanged
from canary.render.allowed_commands import describe_effect, explain_refusal
from canary.render.release_view import ReleaseView
from canary.render.status_text import format_line

if TYPE_CHECKING:
    from canary.cli.options import DryRun

ATTEMPTS = 5
"""The status is written every few seconds: a request may have to be written again."""
TAKEN = 30.0
"""Seconds that the operator has."""


class NotTakenError(CanaryError):
    """The operator did not take the request in time."""

    exit_code = ExitCode.TIMED_OUT


@dataclass(frozen=True, slots=True)
class Details:
    """What goes with a verb: see canary.core.snapshot.Request."""

    skip: Skip | None = None
    reason: str = ""
    to: str | None = None

    def as_json(self, verb: Verb, number: str, by: str) -> str:
        """The request as its annotation holds it; what is empty is left out."""
        parts = {"skip": self.skip, "reason": self.reason, "to": self.to, "by": by}
        given = {name: value for name, value in parts.items() if value}
        return json.dumps({"verb": verb, "id": number, **given})


NO_DETAILS = Details()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that makes sense for the release as it was seen."""

    verb: Verb
    sight: ReleaseView
    details: Details

    @property
    def effect(self) -> str:
        """What it does."""
        spec, status, details = self.sight.spec, self.sight.status, self.details
        return describe_effect(self.verb, spec, status, details.skip, details.to)

    @property
    def meant(self) -> tuple[object, ...]:
        """What must still be so when it is written: the release, and the step to be approved."""
        status, release = self.sight.status, self.sight.status.release
        if self.verb in {Verb.RETRY, Verb.UNDO, Verb.RESTART} or release is None:
            return status.rejected_hash, status.stable_hash
        step = status.step if self.verb is Verb.PROMOTE else None
        return (release.template, release.started_at), step


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was written, or would be."""

    wanted: Wanted
    id: str
    object: Object


def wanted(
    cluster: Session, verb: Verb, names: Sequence[str], details: Details = NO_DETAILS
) -> list[Wanted]:
    """The requests, one per release.

    Raises:
        UsageError: one of them makes no sense now; nothing is written then.
    """
    sights = [sight_of(cluster.release(name)) for name in names]
    refused = [
        f"cannot {verb} {sight.title}: {why}"
        for sight in sights
        if (why := _refusal(verb, sight, details)) is not None
    ]
    if refused:
        raise UsageError("\n".join(refused))
    return [Wanted(verb, sight, details) for sight in sights]


def _refusal(verb: Verb, sight: ReleaseView, details: Details) -> str | None:
    return explain_refusal(verb, sight.spec, sight.status, details.skip, details.to)


def ask(cluster: Session, want: Wanted, dry_run: "DryRun") -> Asked:
    """Writes the request into the release that was seen, as it is now.

    Raises:
        UsageError: the release moved on since it was looked at.
        ConflictError: somebody else wrote at every attempt.
    """
    number = uuid4().hex[:12]
    note = {REQUEST: want.details.as_json(want.verb, number, user_name(cluster.transport))}
    for attempt in range(ATTEMPTS):
        found = cluster.release(want.sight.name)
        _still_meant(want, found)
        try:
            return Asked(want, number, _written(cluster, found, note, dry_run))
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _still_meant(want: Wanted, found: Object) -> None:
    sight = sight_of(found)
    why = _refusal(want.verb, sight, want.details)
    if why is None and Wanted(want.verb, sight, want.details).meant != want.meant:
        step = sight.status.step
        same = step == want.sight.status.step
        why = "another release is under way now" if same else f"it is at step {step + 1} now"
    if why is not None:
        raise UsageError(
            f"{sight.title} moved on meanwhile, so nothing was asked: {why}; "
            f"look again with canary status {sight.name} -n {sight.namespace}"
        )


def _written(cluster: Session, found: Object, note: dict[str, str], dry_run: "DryRun") -> Object:
    if dry_run == "client":
        noted = {**annotations_of(found), **note}
        return {**found, "metadata": {**found["metadata"], "annotations": noted}}
    patch = [
        *expect_unchanged(found, "/metadata/resourceVersion"),
        *annotation_patch(found, dict(note)),
    ]
    return patch_object(cluster.transport, RELEASES, found, patch, dry_run=dry_run == "server")


def taken(cluster: Session, asked: Asked) -> str:
    """How the release stands once the operator has taken the request.

    Raises:
        NotTakenError: not within 30 s.
    """
    sight = asked.wanted.sight
    with Follow(cluster, sight.namespace, name=sight.name) as follow:
        for news in follow.within(TAKEN):
            if news.item is None and news.old is not None:
                raise NotFoundError(f"CanaryRelease {sight.title} was deleted")
            if news.item is not None:
                now = sight_of(news.item)
                if now.status.handled_request == asked.id:
                    return format_line(now)
    raise NotTakenError(
        f"{sight.title}: the operator has not taken the request within {TAKEN:.0f} s; "
        "is it running? canary doctor tells"
    )
