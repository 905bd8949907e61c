"""The memory of the scrape source: series by target, ended as Prometheus ends them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client.samples import Sample

from canary.core.sampling import selector_matches
from canary.core.series import Selector
from canary.metrics.history import LOOKBACK, History, Labels

MAX_SERIES = 5000
"""Of one release; half an hour of them takes 90 MB at an interval of 5 s."""
MAX_CHARACTERS = 4 << 20
"""Of all labels of one release."""


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One page, and the labels that say whose it is (they win over equal ones on the page)."""

    url: str
    labels: Mapping[str, str]

    @property
    def identity(self) -> tuple[str, Labels]:
        """Another process on the same port is another target."""
        return self.url, tuple(sorted(self.labels.items()))


class Store:
    """Keeps, for `keep` seconds, the series that the selectors of the last `keep` seconds want.

    At most `most` series and `MAX_CHARACTERS` of labels: what pods export is foreign text, and each
    scrape may bring new values of a label. What is more is left out, and `full` says so.
    """

    def __init__(self, keep: float, most: int = MAX_SERIES) -> None:
        self._keep = max(keep, LOOKBACK)
        self._most = most
        self._series = 0
        self._characters = 0
        self.full = False
        """Whether series were left out in the last round of scrapes."""
        self._wanted: dict[Selector, float] = {}
        self._targets: dict[tuple[str, Labels], dict[tuple[str, Labels], History]] = {}

    @property
    def metrics(self) -> frozenset[str]:
        """Names of all metrics that are wanted."""
        return frozenset(s.metric for s in self._wanted)

    def want(self, selectors: Iterable[Selector], now: float) -> None:
        """Keeps what they select from the next scrape on; renews those already known."""
        self._wanted |= dict.fromkeys(selectors, now)

    def ingest(self, target: ScrapeTarget, page: Iterable[Sample], now: float) -> None:
        """One scrape: its samples, and the end of each series that it no longer has."""
        kept = self._targets.setdefault(target.identity, {})
        for sample in page:
            labels = _labels(target, sample.labels)
            key = (sample.name, tuple(sorted(labels.items())))
            if key not in kept and self._wants(sample.name, labels) and self._has_room(labels):
                kept[key] = History(labels)
            if key in kept:
                kept[key].add(now, float(sample.value))
        _end(kept, now)

    def _wants(self, name: str, labels: Mapping[str, str]) -> bool:
        return any(one.metric == name and selector_matches(one, labels) for one in self._wanted)

    def _has_room(self, labels: Mapping[str, str]) -> bool:
        self._series += 1
        self._characters += _count_characters(labels)
        room = self._series <= self._most and self._characters <= MAX_CHARACTERS
        self.full = self.full or not room
        return room

    def failed(self, target: ScrapeTarget, now: float) -> None:
        """A scrape that gave nothing ends all series of its target, until the next that does."""
        _end(self._targets.get(target.identity, {}), now)

    def tidy(self, present: Iterable[ScrapeTarget], now: float) -> None:
        """Ends the series of vanished targets, and forgets what is old or no longer asked for."""
        names = {t.identity for t in present}
        for identity, kept in self._targets.items():
            if identity not in names:
                _end(kept, now)
        old = now - self._keep
        self._wanted = {s: t for s, t in self._wanted.items() if t >= old}
        for kept in self._targets.values():
            for key in [k for k, h in kept.items() if h.last < old]:
                del kept[key]
            for history in kept.values():
                history.forget(old)
        self._targets = {i: kept for i, kept in self._targets.items() if kept}
        kept_series = [one.labels for kept in self._targets.values() for one in kept.values()]
        self._series = len(kept_series)
        self._characters = sum(map(_count_characters, kept_series))

    def start_round(self) -> None:
        """What was left out before this round of scrapes counts no more."""
        self.full = False

    def select(self, selector: Selector) -> list[History]:
        """All kept series that the selector selects."""
        return [
            history
            for kept in self._targets.values()
            for (metric, _), history in kept.items()
            if metric == selector.metric and selector_matches(selector, history.labels)
        ]


def _count_characters(labels: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in labels.items())


def _end(kept: Mapping[tuple[str, Labels], History], now: float) -> None:
    for history in kept.values():
        if history.live and history.last < now:
            history.add(now, None)


def _labels(target: ScrapeTarget, page: Mapping[str, str]) -> dict[str, str]:
    """Prometheus' merge: the target's labels win, the page's own are renamed, empty ones go."""
    mine = {"instance": urlsplit(target.url).netloc, **target.labels}
    merged = {f"exported_{k}" if k in mine else k: v for k, v in page.items()} | mine
    return {k: v for k, v in merged.items() if v}
