"""`Notifier` as Kubernetes Events: one per change, written off the reconcile thread."""

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
"""The API's limit for the length of a note."""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """One Event to be."""

    key: Key
    at: float
    reason: Reason
    action: str
    note: str
    warning: bool


class KubeNotifier:
    """See Notifier. `instance` is the name of this pod.

    What does not fit in the queue is dropped with a log line: Events are for reading, the status
    is the truth.
    """

    def __init__(self, objects: Objects, clock: Clock, instance: str) -> None:
        self._objects = objects
        self._clock = clock
        self._instance = instance
        self._queue: queue.Queue[EventDraft | None] = queue.Queue(_MAX_QUEUED)
        self._warned: dict[tuple[Key, Reason], str] = {}
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)
        self._thread.start()

    def notify(self, notice: Notice) -> None:
        """Queues the notice."""
        warning = notice.phase in _WARNING_PHASES
        weight = f" (weight {notice.weight} %)" if notice.weight else ""
        note = f"{notice.message}{weight}"
        self._put(EventDraft(notice.key, notice.at, notice.reason, notice.phase, note, warning))

    def warn(self, key: Key, reason: Reason, message: str) -> None:
        """Queues a warning, unless it was this key's and reason's last one already."""
        if self._warned.get((key, reason)) != message:
            self._warned[key, reason] = message
            self._put(
                EventDraft(key, self._clock.now(), reason, "Reconcile", message, warning=True)
            )

    def forget(self, key: Key) -> None:
        """The release is gone."""
        for known in [known for known in self._warned if known[0] == key]:
            del self._warned[known]

    def close(self, seconds: float = 2.0) -> None:
        """Writes what is queued, for so long at most."""
        self._put(None)
        self._thread.join(seconds)

    def _put(self, said: EventDraft | None) -> None:
        try:
            self._queue.put_nowait(said)
        except queue.Full:
            log.warning("an Event was dropped: %s are waiting to be written", _MAX_QUEUED)

    def _work(self) -> None:
        while (said := self._queue.get()) is not None:
            try:
                self._write(said)
            except ConflictError:
                continue  # written already: the name says what it says
            except CanaryError as error:
                log.warning("an Event of %s was not written: %s", said.key.name, error)

    def _write(self, said: EventDraft) -> None:
        owner = self._objects.get(RELEASES, said.key.namespace, said.key.name)
        if owner is not None:
            body = build_event(said, owner, self._instance)
            self._objects.create(EVENTS, said.key.namespace, body)


def build_event(said: EventDraft, release: Object, instance: str) -> Object:
    """The Event; its name follows from its content, so that twice is once."""
    metadata = release["metadata"]
    content = f"{metadata['uid']}/{said.at}/{said.reason}/{said.action}/{said.note}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "eventTime": datetime.fromtimestamp(said.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Warning" if said.warning else "Normal",
        "reason": said.reason.value,
        "action": said.action,
        "note": said.note[:_MAX_NOTE],
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
