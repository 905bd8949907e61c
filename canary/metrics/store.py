"""Stores the series of the scrape source by target; marks them stale as Prometheus does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client.samples import Sample

from canary.core.sampling import selector_matches
from canary.core.series import Selector
from canary.metrics.history import LOOKBACK, History, Labels

MAX_SERIES = 5000
"""Maximum number of series of a release; 30 min of them take 90 MB at an interval of 5 s."""
MAX_CHARACTERS = 4 << 20
"""Maximum number of characters of all labels of a release."""


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One page, and the labels of its target, which override those of the page."""

    url: str
    labels: Mapping[str, str]

    @property
    def identity(self) -> tuple[str, Labels]:
        """Return the key of the target: another process on the same port is another target."""
        return self.url, tuple(sorted(self.labels.items()))


class Store:
    """Keeps, for `keep` seconds, the series that the selectors of the last `keep` seconds match.

    Stores at most `most` series and `MAX_CHARACTERS` of labels: pods export untrusted text, and
    each scrape may add new values of a label. The rest is dropped, and `full` is set.
    """

    def __init__(self, keep: float, most: int = MAX_SERIES) -> None:
        self._keep = max(keep, LOOKBACK)
        self._most = most
        self._series = 0
        self._characters = 0
        self.full = False
        """Whether series were dropped in the last round of scrapes."""
        self._wanted: dict[Selector, float] = {}
        self._targets: dict[tuple[str, Labels], dict[tuple[str, Labels], History]] = {}

    @property
    def metrics(self) -> frozenset[str]:
        """Return the names of all requested metrics."""
        return frozenset(s.metric for s in self._wanted)

    def request_series(self, selectors: Iterable[Selector], now: float) -> None:
        """Add selectors, effective from the next scrape on; renew those already known."""
        self._wanted |= dict.fromkeys(selectors, now)

    def add_scrape(self, target: ScrapeTarget, page: Iterable[Sample], now: float) -> None:
        """Add a scrape: its samples, and the end of each series that is no longer in it."""
        kept = self._targets.setdefault(target.identity, {})
        for sample in page:
            labels = _merge_labels(target, sample.labels)
            key = (sample.name, tuple(sorted(labels.items())))
            if key not in kept and self._is_wanted(sample.name, labels) and self._has_room(labels):
                kept[key] = History(labels)
            if key in kept:
                kept[key].add(now, float(sample.value))
        _end_series(kept, now)

    def _is_wanted(self, name: str, labels: Mapping[str, str]) -> bool:
        return any(one.metric == name and selector_matches(one, labels) for one in self._wanted)

    def _has_room(self, labels: Mapping[str, str]) -> bool:
        self._series += 1
        self._characters += _count_characters(labels)
        room = self._series <= self._most and self._characters <= MAX_CHARACTERS
        self.full = self.full or not room
        return room

    def record_failure(self, target: ScrapeTarget, now: float) -> None:
        """Record a failed scrape, which ends all series of its target until the next success."""
        _end_series(self._targets.get(target.identity, {}), now)

    def drop_old_samples(self, present: Iterable[ScrapeTarget], now: float) -> None:
        """End the series of vanished targets; drop samples that are old or no longer requested."""
        names = {t.identity for t in present}
        for identity, kept in self._targets.items():
            if identity not in names:
                _end_series(kept, now)
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
        """Start a round of scrapes: reset whether series were dropped."""
        self.full = False

    def select(self, selector: Selector) -> list[History]:
        """Return all stored series that the selector matches."""
        return [
            history
            for kept in self._targets.values()
            for (metric, _), history in kept.items()
            if metric == selector.metric and selector_matches(selector, history.labels)
        ]


def _count_characters(labels: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in labels.items())


def _end_series(kept: Mapping[tuple[str, Labels], History], now: float) -> None:
    for history in kept.values():
        if history.live and history.last < now:
            history.add(now, None)


def _merge_labels(target: ScrapeTarget, page: Mapping[str, str]) -> dict[str, str]:
    """Merge labels as Prometheus does: target labels win, others are renamed, empty ones drop."""
    mine = {"instance": urlsplit(target.url).netloc, **target.labels}
    merged = {f"exported_{k}" if k in mine else k: v for k, v in page.items()} | mine
    return {k: v for k, v in merged.items() if v}
