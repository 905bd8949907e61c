"""A circuit breaker: stops queries to a server that keeps failing, then probes it once."""

import threading
from collections.abc import Callable


class CircuitBreaker:
    """Opens after `failures` in a row, for `rest` seconds; then lets one caller probe.

    Thread-safe. `clock` gives monotonic seconds.
    """

    def __init__(self, failures: int, rest: float, clock: Callable[[], float]) -> None:
        self._limit = failures
        self._rest = rest
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._closed_again = 0.0

    def allows_query(self) -> bool:
        """Return whether to send a query now; when half open, True for one caller only."""
        with self._lock:
            if self._failed < self._limit:
                return True
            if self._clock() < self._closed_again:
                return False
            self._closed_again = self._clock() + self._rest
            return True

    def record_success(self) -> None:
        """Record that the server answered, even if it refused the query."""
        with self._lock:
            self._failed = 0

    def record_failure(self) -> None:
        """Record that the server did not answer, or failed."""
        with self._lock:
            self._failed += 1
            self._closed_again = self._clock() + self._rest

    @property
    def open_for(self) -> float:
        """Return the seconds until the next probe; 0 when closed."""
        with self._lock:
            left = self._closed_again - self._clock()
            return max(left, 0.0) if self._failed >= self._limit else 0.0
