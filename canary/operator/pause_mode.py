"""How targets are held in this cluster, looked up now and then and known at once."""

import logging
import threading
from collections.abc import Callable
from enum import StrEnum

from canary.errors import CanaryError, UsageError
from canary.kube.objects import Objects
from canary.kube.workloads import PauseMode, read_pause_mode

_log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two looks for the policy."""
POLICY = "canary-hold"


class PauseModeOption(StrEnum):
    """What the operator is told."""

    AUTO = "auto"
    """On change where the policy is installed, else at rest."""
    AT_REST = "at-rest"
    ON_CHANGE = "on-change"


class PauseModeWatcher:
    """Calling it gives the mode; with `auto` a thread follows the policy's coming and going.

    A pass never waits for the API server to say how it holds: the last known mode counts.
    """

    def __init__(self, objects: Objects, mode: PauseModeOption, policy: str = POLICY) -> None:
        self._objects = objects
        self._mode = mode
        self._policy = policy
        self._over = threading.Event()
        self._now = PauseMode.AT_REST

    def __call__(self) -> PauseMode:
        """How targets are held."""
        return self._now

    def find_out(self) -> PauseMode:
        """The mode at the start. Raises UsageError when the one that is asked for cannot be."""
        if self._mode is not PauseModeOption.AT_REST:
            self._now = read_pause_mode(self._objects, self._policy)
        if self._mode is PauseModeOption.ON_CHANGE and self._now is not PauseMode.ON_CHANGE:
            raise UsageError(
                f"--hold-mode on-change needs the MutatingAdmissionPolicy {self._policy} and its "
                "binding: kubectl apply -k manifests/hold (Kubernetes 1.36 or newer), or use "
                "--hold-mode auto"
            )
        return self._now

    def follow(self, changed: Callable[[], None]) -> None:
        """Looks again every minute, and calls `changed` when it is another."""
        if self._mode is PauseModeOption.AUTO:
            threading.Thread(
                target=self._follow, args=(changed,), name="holding", daemon=True
            ).start()

    def stop(self) -> None:
        """No more looks."""
        self._over.set()

    def _follow(self, changed: Callable[[], None]) -> None:
        while not self._over.wait(EVERY):
            try:
                found = read_pause_mode(self._objects, self._policy)
            except CanaryError as error:
                _log.warning("cannot tell how targets are to be held: %s", error)
                continue
            if found is not self._now:
                _log.info("targets are held %s now", found.value)
                self._now = found
                changed()
