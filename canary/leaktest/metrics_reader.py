"""Reads pool and process gauges from `/metrics` pages."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from canary.core.increments import Side
from canary.core.rounds import Rounds
from canary.core.sampling import PoolAnswers, sample_pool
from canary.core.series import (
    NOT_NUMBERS,
    FoundSeries,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    SeriesQuery,
)
from canary.errors import UsageError
from canary.leaktest.evaluation import Reading
from canary.metrics.presets import POOLS, PoolPreset, pool_preset
from canary.metrics.queries import Context, PoolQueries, answers_of, compile_pool
from canary.metrics.scrape import Scrape, ScrapeOptions, ScrapeTarget

_FILES = SeriesQuery("files", Selector("process_open_fds"), ())
_MEMORY = SeriesQuery("memory", Selector("process_resident_memory_bytes"), ())
_STARTED = SeriesQuery("started", Selector("process_start_time_seconds"), ("pod",))


class MetricsPageReader:
    """Reads one page per process; a reading needs all of them."""

    lag = 0

    def __init__(
        self,
        urls: Sequence[str],
        preset: str | None,
        maximum: float | None = None,
        application: str | None = None,
    ) -> None:
        """Prepare reading; with `preset` None the first page read determines it.

        Raises:
            UsageError: unknown preset, invalid URL, or a preset that needs another option.
        """
        names = tuple(dict.fromkeys(map(name_page, urls)))
        self._context = Context(
            namespace="",
            pods={Side.CANARY: names},
            backends={Side.CANARY: application} if application else {},
            maximum=maximum,
        )
        self._queries = None if preset is None else self._compile_queries(pool_preset(preset))
        targets = [ScrapeTarget(url, {"pod": name_page(url)}) for url in urls]
        self._scrape = Scrape(lambda: targets, options=ScrapeOptions(share=len(targets)))
        self._ticks = 0.0

    def read(self) -> Reading | NoData:
        """Read all gauges now."""
        if self._queries is None and (why := self._detect_preset()) is not None:
            return why
        queries = self._queries
        if queries is None:
            return NoData("the pages have no metrics of a known connection pool")
        answers = self._read_answers([*queries.queries(), _FILES, _MEMORY, _STARTED])
        return (
            answers
            if isinstance(answers, NoData)
            else _build_reading(queries, answers, self._ticks)
        )

    def begin_load(self) -> None:
        """Do nothing: gauges do not depend on it."""

    def close(self) -> None:
        """Stop the threads."""
        self._scrape.close()

    def _compile_queries(self, preset: PoolPreset) -> PoolQueries:
        if preset.backend is not None and not self._context.backends:
            raise UsageError(f"--preset {preset.name} requires --application-name")
        return compile_pool(preset, self._context, preset.name)

    def _detect_preset(self) -> NoData | None:
        """Use the first preset whose required metrics the pages have; NoData if there is none."""
        candidates = [preset for preset in POOLS if preset.backend is None]
        wanted = {
            p.name: _required_queries(p, by_maximum=self._context.maximum is None)
            for p in candidates
        }
        answers = self._read_answers([query for needed in wanted.values() for query in needed])
        if isinstance(answers, NoData):
            return answers
        for preset in candidates:
            needed = wanted[preset.name]
            if needed and all(_is_there(answers[query.key]) for query in needed):
                self._queries = self._compile_queries(preset)
                return None
        return NoData(
            "the pages have no metrics of a known connection pool: set --metrics-url, --preset "
            f"({', '.join(preset.name for preset in POOLS)}), or --postgres to count connections "
            "in PostgreSQL"
        )

    def _read_answers(self, queries: Sequence[SeriesQuery]) -> Mapping[str, MetricAnswer] | NoData:
        """Read the pages once and answer the queries; NoData if any page is missing."""
        now = self._ticks
        self._scrape.read(queries, now, now, 1.0)  # registers the queries, so series are kept
        self._ticks = now = now + 1.0
        failures = self._scrape.poll(now)
        if failures:
            return NoData(f"{failures[0].url} cannot be read: {failures[0].why}")
        return self._scrape.read(queries, now, now, 1.0)


def name_page(url: str) -> str:
    """Return the name of a page: its host and port.

    Raises:
        UsageError: not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        found = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname or "")
    except ValueError:
        parts, found = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not found or parts.username is not None:
        raise UsageError(f"expected a URL such as http://127.0.0.1:8080/metrics, found {url!r}")
    return found


def _required_queries(preset: PoolPreset, *, by_maximum: bool) -> list[SeriesQuery]:
    """Return the queries that identify a preset; none: the preset cannot be detected."""
    if preset.maximum is None and by_maximum:
        return []
    parts = [preset.in_use, preset.idle, preset.maximum if by_maximum else None]
    return [
        SeriesQuery(f"{preset.name} {number}", selector, ("pod",), raw=True)
        for number, selector in enumerate(parts)
        if selector is not None
    ]


def _is_there(answer: MetricAnswer) -> bool:
    """Whether the metric exists; a gauge with the value NaN does."""
    return isinstance(answer, FoundSeries) or (
        isinstance(answer, NoData) and answer.why == NOT_NUMBERS
    )


def _build_reading(
    queries: PoolQueries, answers: Mapping[str, MetricAnswer], now: float
) -> Reading | NoData:
    """Build a reading; pools that differ in any label are different pools, as in the operator."""
    raw = answers_of(queries, answers)
    assert isinstance(raw, PoolAnswers)  # noqa: S101 - of the queries of a pool
    pools = sample_pool(raw, Rounds(now - 1.0, (now,)))
    if not isinstance(pools.in_use, FoundSeries):
        return NoData(pools.in_use.why)
    in_use = pools.in_use.series
    return Reading(
        in_use={_name_pool(series): series.points[-1][1] for series in in_use},
        maximum=_read_maxima(in_use, pools.maximum),
        waiting=_sum_series(queries.waiting, answers),
        timeouts=_sum_series(queries.timeouts, answers),
        files=_sum_series(_FILES, answers),
        memory=_sum_series(_MEMORY, answers),
        started={
            s.labels.get("pod", ""): s.points[-1][1] for s in _found_series(_STARTED, answers)
        },
    )


def _read_maxima(pools: Sequence[Series], maximum: MetricAnswer | float) -> dict[str, float]:
    """Return the limit of each pool; a limit without the pool's labels applies to all pools."""
    if isinstance(maximum, float | int):
        return {_name_pool(pool): float(maximum) for pool in pools}
    limits = maximum.series if isinstance(maximum, FoundSeries) else ()
    return {
        _name_pool(pool): limit.points[-1][1]
        for pool in pools
        for limit in limits
        if limit.labels.items() <= pool.labels.items() and limit.points[-1][1] > 0
    }


def _found_series(query: SeriesQuery, answers: Mapping[str, MetricAnswer]) -> Sequence[Series]:
    answer = answers[query.key]
    return answer.series if isinstance(answer, FoundSeries) else ()


def _sum_series(query: SeriesQuery | None, answers: Mapping[str, MetricAnswer]) -> float | None:
    if query is None or not (series := _found_series(query, answers)):
        return None
    return sum(one.points[-1][1] for one in series)


def _name_pool(series: Series) -> str:
    return "/".join(value for _, value in sorted(series.labels.items()))
