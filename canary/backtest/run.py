"""Runs `canary backtest`: finds past releases in the history and replays their analysis.

Prometheus returns at most 11,000 points per series, so the search for versions in 7 days of history
samples every 55 s. A release found there at 10:00 began up to 55 s earlier; it is read from 9:59:05
at the interval of the spec, and starts one interval before the first request of the canary.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from canary.analyze.evaluation import AnalysisWindow, evaluate_history, first_canary_sample
from canary.analyze.matchers import parse_matchers
from canary.analyze.reader import NoSeriesError, check_available, check_presets, read_metrics
from canary.analyze.series import SeriesGroups, presence_selector
from canary.analyze.time_range import parse_range, parse_time
from canary.api import CanaryRelease, Metric
from canary.backtest.judge import (
    ReplayedRelease,
    build_result,
    decision_rule,
    render_table,
    replay_release,
)
from canary.backtest.releases import (
    GroundTruth,
    PastRelease,
    VersionLifetime,
    VersionMatcher,
    find_in_window,
    find_lifetimes,
    find_releases,
)
from canary.backtest.releases_csv import ReleaseRow, parse_releases
from canary.core.increments import Side
from canary.core.series import (
    FoundSeries,
    Matcher,
    MatchOp,
    NoData,
    Selector,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.discovery.release_file import load_release_file
from canary.errors import TransientError, UsageError
from canary.interfaces import MetricSource
from canary.metrics.options import PrometheusSources
from canary.metrics.prometheus import MAX_POINTS, Prometheus
from canary.metrics.promql import format_promql, vector_selector
from canary.metrics.queries import Context
from canary.results.gate_result import GateResult

_MESHES = {"istio", "linkerd"}
"""Presets whose metrics name workloads. Those of the other presets name Services."""


def build_matcher(
    release: CanaryRelease, namespace: str | None, label: str | None, where: str | None
) -> VersionMatcher:
    """Return how to tell versions apart. Raises UsageError."""
    space = release.metadata.namespace if namespace is None else namespace
    rest = (Matcher("namespace", MatchOp.EQUAL, space),) if space else ()
    more = parse_matchers(where, "--where") if where is not None else ()
    if label is not None:
        try:
            format_promql(SeriesQuery("", Selector("up"), (label,)))
        except ValueError as error:
            raise UsageError(f"--split-label: {error}") from error
    target, service = release.spec.target.name, release.spec.service
    mesh = any(one.preset in _MESHES for one in release.spec.analysis.metrics)
    stable = service.name if service and not mesh else target
    names = {Side.STABLE: stable, Side.CANARY: f"{target}-canary"}
    # The names of canary and stable in a router's metrics only say which side it was, and not which
    # version: with a label for the versions they are of no use.
    router = Context(space, backends=names) if label is None else None
    return VersionMatcher(target, label, (*rest, *more), router)


@dataclass(frozen=True, slots=True)
class BacktestSettings:
    """The options as given; None: not given."""

    file: str
    """File with the policy; `-`: standard input."""
    start: str
    end: str
    prometheus: PrometheusSources
    namespace: str | None = None
    split_label: str | None = None
    where: str | None = None
    releases: Path | None = None
    known_good: bool = False
    strict: bool = False
    """A wrong decision fails the backtest."""


def run_backtest(settings: BacktestSettings, now: float) -> tuple[GateResult, list[str]]:
    """Replay the policy on past releases; return the result, and a table as lines.

    Raises:
        CanaryError: an option or the file is invalid, Prometheus cannot be queried, or no release
            is found.
    """
    release = load_release_file(settings.file)
    options = settings.prometheus.select_for(release.spec.analysis.prometheus)
    start, end = parse_range(settings.start, settings.end, now)
    split = build_matcher(release, settings.namespace, settings.split_label, settings.where)
    with closing(Prometheus(options)) as source:
        study = Backtest(release, source, split, start, end, now)
        found = study.find_releases(settings.releases, good=settings.known_good)
        every = list(study.replay(found))
    outcome = build_result(
        f"{release.metadata.namespace}/{release.metadata.name}",
        every,
        strict=settings.strict,
        seconds=study.reading + study.folding,
        facts={
            "from": start,
            "to": end,
            "readSeconds": round(study.reading, 3),
            "foldSeconds": round(study.folding, 3),
        },
    )
    return outcome, render_table(every)


@dataclass
class Backtest:
    """One release policy and one metric history."""

    release: CanaryRelease
    source: MetricSource
    split: VersionMatcher
    start: float
    end: float
    now: float
    reading: float = 0.0
    """Seconds spent on queries so far."""
    folding: float = 0.0
    """Seconds spent on the analysis so far."""

    def find_releases(self, written: Path | None, *, good: bool) -> list[PastRelease]:
        """Return the releases in the file or in the history. Raises NothingThereError."""
        # A written list wins: people know releases that no metric shows, such as a changed setting.
        if written is not None:
            found = self._read_releases(written)
        else:
            longest = self.release.spec.deadline
            found = find_releases(self._find_lifetimes(), self.split, self.end, longest)
        if not found:
            raise self._no_series("found no version that appeared while another one ran")
        return [replace(one, fate=GroundTruth.GOOD) for one in found] if good else found

    def replay(self, found: Sequence[PastRelease]) -> Iterator[ReplayedRelease]:
        """Read and replay one release after the other."""
        spec = self.release.spec
        step, metrics = spec.analysis.interval, spec.analysis.metrics
        for one in found:
            began = time.perf_counter()
            # What the coarse search missed on both sides of the release is read as well.
            wide = AnalysisWindow.from_times(
                one.start - self.coarse, one.end + self.coarse + step, step
            )
            check_presets(self.source, metrics, one.groups, (wide.start, wide.end))
            by_metric = check_available(read_metrics(self.source, metrics, one.groups, wide.grid))
            there = time.perf_counter()
            start = max(
                (first_canary_sample(by_metric, wide.start) or one.start) - step, wide.start
            )
            # The coarse search may see the end of the old version too early. Judged alone too soon,
            # the new version would be compared with a past that has not ended.
            alone = one.alone_from and one.alone_from + self.coarse
            span = AnalysisWindow.from_times(start, wide.end, step, alone)
            seen = evaluate_history(spec.analysis, span, by_metric, decision_rule(spec, span))
            again = replay_release(replace(one, start=span.start, end=span.end), spec, span, seen)
            self.reading += there - began
            self.folding += time.perf_counter() - there
            yield again

    @property
    def coarse(self) -> float:
        """Seconds between samples in the search for versions. One query spans the history."""
        whole = ceil((self.end - self.start) / (MAX_POINTS - 1))
        return float(max(whole, self.release.spec.analysis.interval))

    def _find_lifetimes(self) -> list[VersionLifetime]:
        """Return the lifetimes of the versions, from the first metric that has series."""
        for metric in self.release.spec.analysis.metrics:
            if found := find_lifetimes(self._read_presence(metric), self.split):
                return found
        return []

    def _read_presence(self, metric: Metric) -> Sequence[Series]:
        selector = presence_selector(metric)
        if selector is None:
            return ()
        narrowed = replace(selector, matchers=(*selector.matchers, *self.split.matchers))
        grid = AnalysisWindow.from_times(self.start, self.end, self.coarse)
        # `count` and not `sum`, because a version whose gauges are NaN ran as well.
        text = f"count by ({self.split.by}) ({vector_selector(narrowed)})"
        query = SeriesQuery("versions", narrowed, (self.split.by,), promql=text)
        began = time.perf_counter()
        answer = self.source.read((query,), grid.start, grid.end, grid.step)[query.key]
        self.reading += time.perf_counter() - began
        match answer:
            case Unavailable(why):
                raise TransientError(why)
            case NoData(why, partial=True):
                raise NoSeriesError(f"{narrowed.metric}: {why}")
            case NoData():
                return ()
            case FoundSeries(series):
                return series

    def _read_releases(self, path: Path) -> list[PastRelease]:
        try:
            # A spreadsheet writes a byte order mark, which would belong to the first column's name.
            lines = path.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "expected text in UTF-8"
            raise UsageError(f"--releases: {path}: {why}") from error
        rows = parse_releases(lines, str(path), lambda text, what: parse_time(text, self.now, what))
        known = self._find_lifetimes() if any(row.groups is None for row in rows) else []
        found = []
        for row in rows:
            seen = (row.groups, None) if row.groups else self._find_versions(row, known)
            found.append(PastRelease(row.name, row.start, row.end, *seen, row.fate))
        return found

    def _find_versions(
        self, row: ReleaseRow, known: Sequence[VersionLifetime]
    ) -> tuple[SeriesGroups, float | None]:
        seen = find_in_window(known, self.split, row.start, row.end)
        if seen is None:
            raise self._no_series(
                f"{row.name}: found no version that appeared while another one ran"
            )
        return seen

    def _no_series(self, what: str) -> Exception:
        label = self.split.by
        return NoSeriesError(
            f"{what} (versions are values of the label {label!r}): look further back with "
            "--from, name the "
            "label that differs with --split-label, or the releases with --releases"
        )
