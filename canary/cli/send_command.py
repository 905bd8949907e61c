"""Checks a command to a release, writes it once, and waits until the operator has handled it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from canary.api import Skip
from canary.cli.cluster import Session
from canary.cli.release_watch import view_of
from canary.core.snapshot import Verb
from canary.errors import CanaryError, ConflictError, ExitCode, NotFoundError, UsageError
from canary.kube.objects import RELEASES, Object
from canary.kube.release_watch import ReleaseWatch
from canary.kube.selected import patch_object, user_name
from canary.kube.workloads.names import REQUEST, annotations_of
from canary.kube.workloads.patches import annotation_patch, expect_unchanged
from canary.render.allowed_commands import describe_effect, explain_refusal
from canary.render.release_view import ReleaseView
from canary.render.status_text import format_line

if TYPE_CHECKING:
    from canary.cli.options import DryRun

ATTEMPTS = 5
"""Attempts to write: the operator writes the status every few seconds, which conflicts."""
HANDLE_TIMEOUT = 30.0
"""Seconds to wait for the operator to handle a command."""


class CommandTimeoutError(CanaryError):
    """The operator did not handle the command in time."""

    exit_code = ExitCode.TIMED_OUT


@dataclass(frozen=True, slots=True)
class CommandDetails:
    """The arguments of a verb; see canary.core.snapshot.Request."""

    skip: Skip | None = None
    reason: str = ""
    to: str | None = None

    def as_json(self, verb: Verb, number: str, by: str) -> str:
        """Return the value of the annotation, without empty arguments."""
        parts = {"skip": self.skip, "reason": self.reason, "to": self.to, "by": by}
        given = {name: value for name, value in parts.items() if value}
        return json.dumps({"verb": verb, "id": number, **given})


NO_DETAILS = CommandDetails()


@dataclass(frozen=True, slots=True)
class PlannedCommand:
    """A command that applies to the release in the state that the user saw."""

    verb: Verb
    sight: ReleaseView
    details: CommandDetails

    @property
    def effect(self) -> str:
        """What the command does."""
        spec, status, details = self.sight.spec, self.sight.status, self.details
        return describe_effect(self.verb, spec, status, details.skip, details.to)

    @property
    def precondition(self) -> tuple[object, ...]:
        """What must be unchanged when it is written: the release, and the step to approve."""
        status, release = self.sight.status, self.sight.status.release
        if self.verb in {Verb.RETRY, Verb.UNDO, Verb.RESTART} or release is None:
            return status.rejected_hash, status.stable_hash
        step = status.step if self.verb is Verb.PROMOTE else None
        return (release.template, release.started_at), step


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A command that was written, or would be with a dry run."""

    wanted: PlannedCommand
    id: str
    object: Object


def plan_commands(
    cluster: Session, verb: Verb, names: Sequence[str], details: CommandDetails = NO_DETAILS
) -> list[PlannedCommand]:
    """Return one command per release.

    Raises:
        UsageError: the command does not apply to one of them now; nothing is written.
    """
    sights = [view_of(cluster.release(name)) for name in names]
    refused = [
        f"cannot {verb} {sight.title}: {why}"
        for sight in sights
        if (why := _refusal_reason(verb, sight, details)) is not None
    ]
    if refused:
        raise UsageError("\n".join(refused))
    return [PlannedCommand(verb, sight, details) for sight in sights]


def _refusal_reason(verb: Verb, sight: ReleaseView, details: CommandDetails) -> str | None:
    return explain_refusal(verb, sight.spec, sight.status, details.skip, details.to)


def write_command(cluster: Session, want: PlannedCommand, dry_run: "DryRun") -> SentCommand:
    """Write the command to the release, if it is still in the state that the user saw.

    Raises:
        UsageError: the release has changed.
        ConflictError: every attempt conflicted with another write.
    """
    number = uuid4().hex[:12]
    note = {REQUEST: want.details.as_json(want.verb, number, user_name(cluster.transport))}
    for attempt in range(ATTEMPTS):
        found = cluster.release(want.sight.name)
        _check_unchanged(want, found)
        try:
            return SentCommand(want, number, _write_annotation(cluster, found, note, dry_run))
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _check_unchanged(want: PlannedCommand, found: Object) -> None:
    sight = view_of(found)
    why = _refusal_reason(want.verb, sight, want.details)
    if (
        why is None
        and PlannedCommand(want.verb, sight, want.details).precondition != want.precondition
    ):
        step = sight.status.step
        same = step == want.sight.status.step
        why = "another release is in progress" if same else f"it is at step {step + 1} now"
    if why is not None:
        raise UsageError(
            f"{sight.title} has changed, so nothing was sent: {why}; check it with "
            f"canary status {sight.name} -n {sight.namespace}"
        )


def _write_annotation(
    cluster: Session, found: Object, note: dict[str, str], dry_run: "DryRun"
) -> Object:
    if dry_run == "client":
        noted = {**annotations_of(found), **note}
        return {**found, "metadata": {**found["metadata"], "annotations": noted}}
    patch = [
        *expect_unchanged(found, "/metadata/resourceVersion"),
        *annotation_patch(found, dict(note)),
    ]
    return patch_object(cluster.transport, RELEASES, found, patch, dry_run=dry_run == "server")


def wait_until_handled(
    cluster: Session, asked: SentCommand, timeout: float = HANDLE_TIMEOUT
) -> str:
    """Return the status line of the release once the operator has handled the command.

    Raises:
        CommandTimeoutError: the operator does not handle it within `timeout` seconds.
    """
    sight = asked.wanted.sight
    with ReleaseWatch(cluster.transport, sight.namespace, name=sight.name) as watch:
        for update in watch.updates_for(timeout):
            if update.item is None and update.old is not None:
                raise NotFoundError(f"CanaryRelease {sight.title} was deleted")
            if update.item is not None:
                now = view_of(update.item)
                if now.status.handled_request == asked.id:
                    return format_line(now)
    raise CommandTimeoutError(
        f"{sight.title}: the operator has not handled the command within {timeout:.0f} s; "
        "check it with canary doctor"
    )
