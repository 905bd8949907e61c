"""The Prometheus servers of the operator, each with connections and batches of its own.

A query is merged only with others of the same source, so what one source's credentials or tenant
header give access to is never part of another's answer.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from canary.interfaces import MetricSource
from canary.metrics.batch import QueryBatcher
from canary.metrics.query_api import PrometheusOptions


class ClosableSource(MetricSource, Protocol):
    """A source with connections."""

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class _Opened:
    options: PrometheusOptions
    source: ClosableSource
    batch: QueryBatcher

    def close(self) -> None:
        self.batch.close()
        self.source.close()


class MetricSources:
    """Opens each source when a release first needs it, and again when its options change."""

    def __init__(
        self,
        select: Callable[[str | None], PrometheusOptions],
        connect: Callable[[PrometheusOptions], ClosableSource],
        build_batch: Callable[[MetricSource], QueryBatcher],
    ) -> None:
        """`select` returns the options of a name, or the default; it raises UsageError."""
        self._select = select
        self._connect = connect
        self._build_batch = build_batch
        self._lock = threading.Lock()
        self._opened: dict[str, _Opened] = {}
        self._replaced: dict[str, _Opened] = {}
        """A reconcile may still be using what was replaced; it is closed with the next one."""

    def batch(self, name: str | None) -> QueryBatcher:
        """Return the batches of spec.analysis.prometheus. Raises UsageError."""
        options = self._select(name)
        with self._lock:
            found = self._opened.get(options.name)
            if found is not None and found.options == options:
                return found.batch
            if found is not None:
                self._close_replaced(options.name)
                self._replaced[options.name] = found
            source = self._connect(options)
            opened = _Opened(options, source, self._build_batch(source))
            self._opened[options.name] = opened
            return opened.batch

    def close(self) -> None:
        """Close all sources."""
        with self._lock:
            for one in (*self._opened.values(), *self._replaced.values()):
                one.close()

    def _close_replaced(self, name: str) -> None:
        if (old := self._replaced.pop(name, None)) is not None:
            old.close()
