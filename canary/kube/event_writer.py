"""`Notifier` that writes Kubernetes Events, one per change, in a thread of its own."""

import hashlib
import logging
import queue
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from canary.api import Phase, Reason
from canary.errors import CanaryError, ConflictError
from canary.interfaces import Clock, Key, Notice
from canary.kube.objects import EVENTS, RELEASES, Object, Objects

log = logging.getLogger(__name__)

CONTROLLER = "canary-controller.dev/canary"
_WARNING_PHASES = {Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.PAUSED}
_MAX_QUEUED = 1000
_MAX_NOTE = 1024
"""The API's maximum length of a note, in characters."""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An Event to be written; `at` is in seconds since the epoch."""

    key: Key
    at: float
    reason: Reason
    action: str
    note: str
    warning: bool


class KubeNotifier:
    """See Notifier. `instance` is the name of this pod.

    When the queue is full, Events are dropped with a log line: they inform people, and nothing
    depends on them.
    """

    def __init__(self, objects: Objects, clock: Clock, instance: str) -> None:
        self._objects = objects
        self._clock = clock
        self._instance = instance
        self._queue: queue.Queue[EventDraft | None] = queue.Queue(_MAX_QUEUED)
        self._warned: dict[tuple[Key, Reason], str] = {}
        self._thread = threading.Thread(target=self._write_queued, name="events", daemon=True)
        self._thread.start()

    def notify(self, notice: Notice) -> None:
        """Queue an Event for the notice."""
        warning = notice.phase in _WARNING_PHASES
        weight = f" (weight {notice.weight} %)" if notice.weight else ""
        note = f"{notice.message}{weight}"
        self._queue_draft(
            EventDraft(notice.key, notice.at, notice.reason, notice.phase, note, warning)
        )

    def warn(self, key: Key, reason: Reason, message: str) -> None:
        """Queue a warning, unless it equals the last one of this release and reason."""
        if self._warned.get((key, reason)) != message:
            self._warned[key, reason] = message
            self._queue_draft(
                EventDraft(key, self._clock.now(), reason, "Reconcile", message, warning=True)
            )

    def forget(self, key: Key) -> None:
        """Drop what is kept for a deleted release."""
        for known in [known for known in self._warned if known[0] == key]:
            del self._warned[known]

    def close(self, seconds: float = 2.0) -> None:
        """Write the queued Events, for at most `seconds`."""
        self._queue_draft(None)
        self._thread.join(seconds)

    def _queue_draft(self, draft: EventDraft | None) -> None:
        try:
            self._queue.put_nowait(draft)
        except queue.Full:
            log.warning("an Event was dropped: %s Events are already queued", _MAX_QUEUED)

    def _write_queued(self) -> None:
        while (draft := self._queue.get()) is not None:
            try:
                self._write_event(draft)
            except ConflictError:
                continue  # the Event exists already: its name is a hash of its content
            except CanaryError as error:
                log.warning("cannot write an Event for %s: %s", draft.key.name, error)

    def _write_event(self, draft: EventDraft) -> None:
        owner = self._objects.get(RELEASES, draft.key.namespace, draft.key.name)
        if owner is not None:
            body = build_event(draft, owner, self._instance)
            self._objects.create(EVENTS, draft.key.namespace, body)


def build_event(draft: EventDraft, release: Object, instance: str) -> Object:
    """Build the Event. Its name is a hash of its content, so writing it twice makes one Event."""
    metadata = release["metadata"]
    content = f"{metadata['uid']}/{draft.at}/{draft.reason}/{draft.action}/{draft.note}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "eventTime": datetime.fromtimestamp(draft.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Warning" if draft.warning else "Normal",
        "reason": draft.reason.value,
        "action": draft.action,
        "note": draft.note[:_MAX_NOTE],
        "regarding": {
            "apiVersion": RELEASES.api_version,
            "kind": RELEASES.kind,
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
    }
