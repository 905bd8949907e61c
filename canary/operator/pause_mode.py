"""The pause mode of the cluster, refreshed in the background."""

import logging
import threading
from collections.abc import Callable
from enum import StrEnum

from canary.errors import CanaryError, UsageError
from canary.kube.objects import Objects
from canary.kube.workloads import PauseMode, read_pause_mode

_log = logging.getLogger(__name__)

REFRESH_INTERVAL = 60.0
"""Seconds between two checks for the policy."""
POLICY = "canary-hold"


class PauseModeOption(StrEnum):
    """Values of --hold-mode."""

    AUTO = "auto"
    """OnChange when the policy is installed, else AtRest."""
    AT_REST = "at-rest"
    ON_CHANGE = "on-change"


class PauseModeWatcher:
    """Calling it returns the last known mode; with `auto` a thread refreshes it.

    Therefore no reconcile waits for the API server.
    """

    def __init__(self, objects: Objects, mode: PauseModeOption, policy: str = POLICY) -> None:
        self._objects = objects
        self._mode = mode
        self._policy = policy
        self._stopping = threading.Event()
        self._current = PauseMode.AT_REST

    def __call__(self) -> PauseMode:
        """Return the current mode."""
        return self._current

    def detect(self) -> PauseMode:
        """Read the mode at the start. Raises UsageError when --hold-mode requires another one."""
        if self._mode is not PauseModeOption.AT_REST:
            self._current = read_pause_mode(self._objects, self._policy)
        if self._mode is PauseModeOption.ON_CHANGE and self._current is not PauseMode.ON_CHANGE:
            raise UsageError(
                f"--hold-mode on-change needs the MutatingAdmissionPolicy {self._policy} and its "
                "binding: kubectl apply -k manifests/hold (Kubernetes 1.36 or newer), or use "
                "--hold-mode auto"
            )
        return self._current

    def follow(self, changed: Callable[[], None]) -> None:
        """With `auto`, refresh the mode every minute, and call `changed` after a change."""
        if self._mode is PauseModeOption.AUTO:
            threading.Thread(
                target=self._follow_mode, args=(changed,), name="pause-mode", daemon=True
            ).start()

    def stop(self) -> None:
        """End the refreshes."""
        self._stopping.set()

    def _follow_mode(self, changed: Callable[[], None]) -> None:
        while not self._stopping.wait(REFRESH_INTERVAL):
            try:
                found = read_pause_mode(self._objects, self._policy)
            except CanaryError as error:
                _log.warning("cannot read the hold policy: %s", error)
                continue
            if found is not self._current:
                _log.info("the pause mode is now %s", found.value)
                self._current = found
                changed()
