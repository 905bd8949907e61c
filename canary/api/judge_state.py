"""`status.judge`: the state of the analysis between reconciles, per metric, with a version.

State that cannot be read is a value (`UnreadableState`) and never an exception: the analysis then
starts again from the start of the release, and automatic rollback stays active.

Times are in seconds since the epoch. For example, a metric of which no request was seen yet is
stored as `{"ratios": {"errors": {"until": 1764500000}}}`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from canary.api.fields import Frozen
from canary.api.reasons import Verdict

VERSION = 2
SHARE_STAKES, RATE_STAKES, POOL_STAKES, GUARD_STAKES = 6, 5, 6, 10
"""Number of stakes of each kind of bet; their sizes are in canary/core/evidence/bet_sizes.py."""
EVENT_PAIRS = 4
"""Number of pairs of blocks that `LargestEvent` keeps, as in canary/core/evidence/baseline.py."""
Numbers = tuple[float, ...]
Count = Annotated[float, Field(ge=0)]


class StoredModel(Frozen):
    """Numbers must be finite; unknown fields, which a newer operator may add, are dropped."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class StoredSilence(StoredModel):
    """Why a metric had no result in the last analysis."""

    verdict: Verdict
    why: str


class RequestCounts(StoredModel):
    """Requests and bad requests of both versions."""

    canary: Count = 0.0
    canary_bad: Count = 0.0
    stable: Count = 0.0
    stable_bad: Count = 0.0


class RequestPeriod(RequestCounts):
    """Requests between two times (seconds since the epoch)."""

    start: float
    end: float


class NamedCounts(StoredModel):
    """Stable's requests in one pod or route."""

    name: str
    total: Count
    bad: Count


class RouteCounts(RequestCounts):
    """Requests of both versions on one route."""

    name: str


class OpenBlock(RequestPeriod):
    """A block that is too short to be evaluated yet; `pods` are stable's."""

    pods: tuple[NamedCounts, ...] = ()
    routes: tuple[RouteCounts, ...] = ()


class RateBlock(StoredModel):
    """Requests since `start` (seconds) that the rate bets have not evaluated yet."""

    start: float
    canary: Count
    canary_bad: Count
    stable: Count


class BaselineState(StoredModel):
    """Stable's requests: the last ten minutes in blocks, and how much its errors clump."""

    times: Numbers = ()
    """End of each block (seconds since the epoch), ascending."""
    totals: Numbers = (0.0,)
    """Running sum of requests: before the first block, and after each of them."""
    bad: Numbers = (0.0,)
    """Running total of bad requests: before the first block, and after each block."""
    last_total: Count = 0.0
    last_bad: Count = 0.0
    """Counts of the newest block."""
    squares: Count = 0.0
    rates: Count = 0.0
    pairs: NonNegativeInt = 0
    """Sum of squared differences of adjacent blocks, sum of their rates, and number of pairs."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.times) + 1 == len(self.totals) == len(self.bad):
            raise ValueError("expected one more running sum than times")
        if list(self.times) != sorted(self.times):
            raise ValueError("expected times in ascending order")
        return self


class BetsState(StoredModel):
    """Wealth of each stake, in the order of `bet_sizes.py`."""

    share: Annotated[Numbers, Field(min_length=SHARE_STAKES, max_length=SHARE_STAKES)]
    """Share bets, then bets on a grid of shares."""
    rates: Annotated[Numbers, Field(min_length=RATE_STAKES, max_length=RATE_STAKES)]
    """Bets against the limit, then against stable's own rate."""
    share_capital: Count = 0.0
    rates_capital: Count = 0.0
    """New capital that the next block stakes."""
    block: RateBlock | None = None


class OutageState(StoredModel):
    """The current run of samples in which at least half of the canary's requests are bad."""

    seen: Count = 0.0
    seen_bad: Count = 0.0
    """The canary's requests before the run."""
    samples: NonNegativeInt = 0
    start: float = 0.0
    total: Count = 0.0
    bad: Count = 0.0
    stable: Count = 0.0
    stable_bad: Count = 0.0
    excused: bool = False
    """Whether the canary was healthy before the run."""


class PromotionState(StoredModel):
    """Seconds under traffic, bad requests, and the number that each kind of damage would cause."""

    seconds: Count = 0.0
    bad: Count = 0.0
    small: Count = 0.0
    gross: Count = 0.0


class ReplacementState(StoredModel):
    """Requests and bad requests of the canary since stable is broken."""

    total: Count = 0.0
    bad: Count = 0.0


class ClumpState(StoredModel):
    """How much stable's errors clump within windows of the length of a tolerated incident."""

    opened: bool = False
    since: float = 0.0
    total: Count = 0.0
    bad: Count = 0.0
    """Counts of the incomplete window; `since` in seconds since the epoch."""
    last_total: Count = 0.0
    last_bad: Count = 0.0
    squares: Count = 0.0
    rates: Count = 0.0
    pairs: NonNegativeInt = 0
    """Sums over adjacent windows, as in `BaselineState`."""


EventNumbers = Annotated[tuple[Count, ...], Field(min_length=EVENT_PAIRS, max_length=EVENT_PAIRS)]


class LargestEvent(StoredModel):
    """The pairs of blocks in which stable's errors differ most: see `BaselineState.squares`."""

    squares: EventNumbers = (0.0,) * EVENT_PAIRS
    rates: EventNumbers = (0.0,) * EVENT_PAIRS


class CleanRun(StoredModel):
    """Bad requests that the smallest regression would cause since the canary's last bad request."""

    expected: Count = 0.0


class SpreadState(StoredModel):
    """How much stable's pods and routes differ; `time` is the end of the last block (seconds)."""

    time: float | None = None
    pods: tuple[NamedCounts, ...] = ()
    routes: tuple[NamedCounts, ...] = ()


class ErrorWindows(StoredModel):
    """Past windows of stable's pods with similar numbers of bad requests, with decaying weight."""

    bad: Count
    whole: bool = False
    """Whether all requests belong to one pod although only sums are known."""
    windows: Annotated[float, Field(gt=0)]
    requests: Annotated[float, Field(gt=0)]


class OpenWindow(StoredModel):
    """One pod in the incomplete window; `bad` per part of the window."""

    canary: bool
    pod: str
    total: Count
    bad: tuple[Count, ...]


WindowParts = Annotated[tuple[Count, ...], Field(min_length=1)]


class StoredWindows(StoredModel):
    """State of the guard that compares pods by window (`core/evidence/pod_windows.py`)."""

    seconds: Count
    """Length of a window in seconds."""
    clean: Count = 0.0
    clean_requests: Count = 0.0
    """Past windows of stable's pods without errors."""
    bins: tuple[ErrorWindows, ...] = ()
    wealth: Annotated[Numbers, Field(min_length=GUARD_STAKES, max_length=GUARD_STAKES)]
    earlier: Annotated[Numbers, Field(max_length=GUARD_STAKES)] = ()
    """Wealth before the last window; empty if unchanged."""
    seen: Count = 0.0
    """Seconds in which stable's windows were counted, with decaying weight."""
    compared: Count = 0.0
    """Number of canary windows compared, with decaying weight."""
    recent: Annotated[tuple[WindowParts, ...], Field(max_length=4)] = ()
    """Bad requests of the canary in each part of its last windows."""
    before_run: Count = 0.0
    known_well: bool = False
    """Wealth before the current run of windows with errors; 0 if the last window had none."""
    judged_seconds: Count = 0.0
    judging: bool = False
    """Whether the canary's warm-up is over."""
    open_since: float | None = None
    part_since: float | None = None
    part: Annotated[int, Field(ge=0, le=10_000)] = 0
    open_pods: tuple[OpenWindow, ...] = ()
    """Pods in the incomplete window; times are seconds since the epoch."""

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if any(not 0 < len(one.bad) <= self.part + 1 for one in self.open_pods):
            raise ValueError("expected bad requests for each part of the open window")
        if len(self.earlier) not in {0, GUARD_STAKES}:
            raise ValueError("expected earlier wealth of every stake")
        return self


class EvidenceFailure(StoredModel):
    """Why the canary failed, and when (seconds since the epoch)."""

    at: float
    reason: Literal["WorseThanStable", "AboveLimit", "CanaryOutage"]


_REASONS = ("WorseThanStable", "AboveLimit", "CanaryOutage")


class EvidenceParts(StoredModel):
    """The evidence of one ratio metric. `numbers` and `of` convert it for the evidence engine."""

    failed: EvidenceFailure | None = None
    first: float | None = None
    """Time of the canary's first request (seconds since the epoch)."""
    passing_since: float | None = None
    judged_bad: Count = 0.0
    """Bad canary requests after the warm-up."""
    totals: RequestCounts = RequestCounts()
    """Counts since the canary's first request."""
    open: OpenBlock | None = None
    baseline: BaselineState = BaselineState()
    bets: BetsState
    outage: OutageState = OutageState()
    promotion: PromotionState = PromotionState()
    steps: tuple[RequestCounts, ...] = ()
    """Requests per weight step, for the displayed ratio and its bounds."""
    spread: SpreadState | None = None
    pod_windows: StoredWindows | None = None
    """None if written by an operator version that did not compare pods."""
    replacement: ReplacementState = ReplacementState()
    clumps: ClumpState = ClumpState()
    largest_event: LargestEvent = LargestEvent()
    clean_run: CleanRun = CleanRun()

    @classmethod
    def from_numbers(
        cls, values: Sequence[float], names: Sequence[Sequence[str]], version: int = VERSION
    ) -> Self:
        """Convert the numbers of the evidence engine, or those of version 1.

        Raises StopIteration, ValueError or IndexError if they are invalid.
        """
        numbers = iter(values)
        found: dict[str, Any] = {}
        if next(numbers):
            found["failed"] = {"at": next(numbers), "reason": _REASONS[int(next(numbers))]}
        found["first"] = _read_optional(numbers)
        found["passing_since"] = _read_optional(numbers)
        found["judged_bad"] = next(numbers)
        found["totals"] = _read_fields(RequestCounts, numbers)
        if next(numbers):
            start, end = next(numbers), next(numbers)
            found["open"] = {"start": start, "end": end, **_read_fields(RequestCounts, numbers)}
        found["baseline"] = _read_baseline(numbers)
        found["bets"] = _read_bets(numbers, version)
        found["outage"] = _read_fields(OutageState, numbers)
        found["promotion"] = _read_fields(PromotionState, numbers)
        found["steps"] = [_read_fields(RequestCounts, numbers) for _ in range(int(next(numbers)))]
        if next(numbers):
            time = _read_optional(numbers)
            pods, routes = ([_read_named_counts(name, numbers) for name in some] for some in names)
            found["spread"] = {"time": time, "pods": pods, "routes": routes}
        if version > 1:
            found["replacement"] = _read_fields(ReplacementState, numbers)
            found["clumps"] = _read_fields(ClumpState, numbers)
            event = {
                name: _read_numbers(numbers, EVENT_PAIRS) for name in LargestEvent.model_fields
            }
            found["largest_event"] = event
            found["clean_run"] = _read_fields(CleanRun, numbers)
        return cls.model_validate(found)

    def numbers(self) -> tuple[Numbers, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return the state for the evidence engine, with the names of pods and routes."""
        failed: tuple[float, ...] = (0.0,)
        if self.failed is not None:
            failed = (1.0, self.failed.at, float(_REASONS.index(self.failed.reason)))
        base, bets, spread = self.baseline, self.bets, self.spread
        flat = [
            *failed,
            *_write_optional(self.first),
            *_write_optional(self.passing_since),
            self.judged_bad,
        ]
        flat += _list_values(self.totals)
        flat += (
            (0.0,)
            if self.open is None
            else (1.0, self.open.start, self.open.end, *_list_values(self.open, RequestCounts))
        )
        flat += (base.last_total, base.last_bad, base.squares, base.rates, float(base.pairs))
        flat += (float(len(base.times)), *base.times, *base.totals, *base.bad)
        flat += (*bets.share, *bets.rates, bets.share_capital, bets.rates_capital)
        flat += (0.0,) if bets.block is None else (1.0, *_list_values(bets.block))
        flat += (*_list_values(self.outage), *_list_values(self.promotion), float(len(self.steps)))
        for step in self.steps:
            flat += _list_values(step)
        event = self.largest_event
        tail = [*_list_values(self.replacement), *_list_values(self.clumps)]
        tail += (*event.squares, *event.rates, *_list_values(self.clean_run))
        if spread is None:
            return (*flat, 0.0, *tail), ((), ())
        flat += (1.0, *_write_optional(spread.time))
        for named in (*spread.pods, *spread.routes):
            flat += (named.total, named.bad)
        pods, routes = (tuple(one.name for one in some) for some in (spread.pods, spread.routes))
        return (*flat, *tail), (pods, routes)


def _read_optional(numbers: Iterator[float]) -> float | None:
    known = next(numbers)
    return next(numbers) if known else None


def _write_optional(value: float | None) -> tuple[float, ...]:
    return (0.0,) if value is None else (1.0, value)


def _read_fields(model: type[StoredModel], numbers: Iterator[float]) -> dict[str, float]:
    return {name: next(numbers) for name in model.model_fields}


def _list_values(model: StoredModel, only: type[StoredModel] | None = None) -> list[float]:
    return [float(getattr(model, name)) for name in (only or type(model)).model_fields]


def _read_named_counts(name: str, numbers: Iterator[float]) -> dict[str, Any]:
    return {"name": name, "total": next(numbers), "bad": next(numbers)}


def _read_numbers(numbers: Iterator[float], count: int) -> list[float]:
    return [next(numbers) for _ in range(count)]


def _read_baseline(numbers: Iterator[float]) -> dict[str, Any]:
    head = dict(zip(("last_total", "last_bad", "squares", "rates", "pairs"), numbers, strict=False))
    size = int(next(numbers))
    lists = {"times": size, "totals": size + 1, "bad": size + 1}
    return head | {name: _read_numbers(numbers, count) for name, count in lists.items()}


def _read_bets(numbers: Iterator[float], version: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "share": _read_numbers(numbers, SHARE_STAKES),
        "rates": _read_numbers(numbers, RATE_STAKES),
        "share_capital": next(numbers),
        "rates_capital": next(numbers),
    }
    if next(numbers):
        found["block"] = _read_fields(RateBlock, numbers)
    if version == 1:  # Version 1 stored the wealth before recent blocks, which is no longer used.
        for width in (SHARE_STAKES, RATE_STAKES):
            _read_numbers(numbers, int(next(numbers)) * (1 + width))
    return found


class MetricState(StoredModel):
    """State that every kind of metric has."""

    until: float | None = None
    """End of the analyzed samples (seconds since the epoch)."""
    quiet: StoredSilence | None = None


class RatioState(MetricState):
    """State of a metric that counts bad requests."""

    seen: float | None = None
    """Time of the canary's last request (seconds since the epoch)."""
    alone: bool = False
    """Whether the canary is compared with stable's history, as after a promotion."""
    bound: str = ""
    """The histogram bound of a latency metric; empty for other metrics."""
    evidence: EvidenceParts | None = None
    """None before the first sample."""


class Blocks(StoredModel):
    """Blocks of a pool's window, one list per figure (`core.pools.window.Block`)."""

    samples: Numbers = ()
    seconds: Numbers = ()
    used: Numbers = ()
    held: Numbers = ()
    floor: Numbers = ()
    requests: Numbers = ()
    spread: Numbers = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len({len(getattr(self, name)) for name in Blocks.model_fields}) != 1:
            raise ValueError("expected lists of equal length")
        return self


class StoredPoolWindow(StoredModel):
    """A stored `core.pools.window.SlidingWindow`; the last block is incomplete."""

    name: str
    first: float
    last: float = 0.0
    blocks: Blocks
    in_use: float = 0.0
    maximum: float = 0.0
    over: NonNegativeInt = 0
    waiting: float = 0.0
    leaking: float = 0.0


class PoolBet(StoredModel):
    """State of the bet on shares of connections (`core.pools.share_test.ShareBet`)."""

    seconds: float = 0.0
    canary: float = 0.0
    stable: float = 0.0
    canary_requests: float = 0.0
    stable_requests: float = 0.0
    periods: NonNegativeInt = 0
    wealth: Annotated[Numbers, Field(min_length=POOL_STAKES, max_length=POOL_STAKES)]


class PoolFailed(StoredModel):
    """Why the canary's pool failed, and when (seconds since the epoch)."""

    reason: Literal["PoolSaturated", "PoolExhausted", "ConnectionLeak", "ConnectionsWaiting"]
    at: float
    sentence: str


class StoredPool(MetricState):
    """State of one connection pool."""

    canary: tuple[StoredPoolWindow, ...] = ()
    stable: StoredPoolWindow | None = None
    """Average of stable's pods; None before the first sample."""
    bet: PoolBet | None = None
    covered: float = 0.0
    """Seconds under traffic."""
    shared: bool = False
    failed: PoolFailed | None = None
    unheard: float = 0.0
    """Seconds since the last sample with traffic."""


class QueryState(MetricState):
    """State of a custom query and its bounds; times are seconds since the epoch."""

    outside_since: float | None = None
    failed_at: float | None = None
    last: float | None = None
    seen_at: float | None = None


class TrafficShareState(StoredModel):
    """Requests of both versions since the current weight (percent) was confirmed."""

    weight: int = 0
    canary: Count = 0.0
    stable: Count = 0.0


class Restarted(StoredModel):
    """The analysis started again from the start of the release."""

    at: float
    """Seconds since the epoch: the weight may not rise before the analysis reaches this time."""
    why: str


class JudgeState(StoredModel):
    """State per metric, by name. Each metric was analyzed up to its `until`."""

    version: Literal[2] = 2
    ratios: dict[str, RatioState] = Field(default_factory=dict)
    pools: dict[str, StoredPool] = Field(default_factory=dict)
    queries: dict[str, QueryState] = Field(default_factory=dict)
    traffic_share: TrafficShareState = TrafficShareState()
    restarted: Restarted | None = None

    def metrics(self) -> Mapping[str, RatioState | StoredPool | QueryState]:
        """Return the state of all metrics."""
        return {**self.ratios, **self.pools, **self.queries}


class UnreadableState(StoredModel):
    """State that could not be read, and why."""

    unreadable: str


def read_state(data: object) -> "JudgeState | UnreadableState | None":
    """Return the state of `status.judge`, which this version or the previous one wrote."""
    match data:
        case None | JudgeState() | UnreadableState():
            return data
        case {"unreadable": str(why)}:
            return UnreadableState(unreadable=why[:_MAX_CHARACTERS])
        case {"version": int(version)} if version != VERSION:
            why = f"it has version {version}, this operator reads {VERSION} and earlier"
            return UnreadableState(unreadable=why)
        case _:
            return _read_versioned(data)


_MAX_CHARACTERS = 200


def _read_versioned(data: object) -> "JudgeState | UnreadableState":
    try:
        if isinstance(data, dict) and "version" not in data:
            data = _upgrade_version_1(data)
        return JudgeState.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        why = f"{where}: {first['msg']}"
    except Exception:  # noqa: BLE001 - the content is arbitrary, and no error may stop a reconcile
        why = "it does not have the format of version 1"
    return UnreadableState(unreadable=why[:_MAX_CHARACTERS])


def _upgrade_version_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Convert version 1: a list of numbers per metric, and the traffic share under ""."""
    found: dict[str, Any] = {"ratios": {}, "pools": {}, "queries": {}}
    for name, one in data.items():
        if name == "":
            found["traffic_share"] = dict(zip(TrafficShareState.model_fields, one, strict=False))
            continue
        kept = {"until": one.get("until"), "quiet": _upgrade_silence(one.get("quiet"))}
        fold = one["fold"]
        if isinstance(fold, dict):
            if fold["version"] != 1:
                raise ValueError("expected the numbers of version 1")
            values, names = fold["values"], fold["names"]
            parts = EvidenceParts.from_numbers(values, names, version=1) if values else None
            more = {"seen": one.get("seen"), "alone": one.get("alone", False), "evidence": parts}
            more["bound"] = one.get("bound", "")
            found["ratios"][name] = kept | more
        elif isinstance(fold[0], list):
            found["pools"][name] = kept | _upgrade_pool(fold)
        else:
            found["queries"][name] = kept | dict(zip(_BOUNDS, fold, strict=True))
    return found


_BOUNDS = ("outside_since", "failed_at", "last", "seen_at")


def _upgrade_silence(pair: Sequence[str] | None) -> dict[str, str] | None:
    return None if pair is None else {"verdict": pair[0], "why": pair[1]}


def _upgrade_pool(fold: Sequence[Any]) -> dict[str, Any]:
    windows, bet, covered, shared, failed, *rest = fold
    stable, *canary = (_upgrade_window(one) for one in windows)
    return {
        "canary": canary,
        "stable": stable,
        "bet": dict(zip(PoolBet.model_fields, bet, strict=True)),
        "covered": covered,
        "shared": shared,
        "failed": failed and dict(zip(PoolFailed.model_fields, failed, strict=True)),
        "unheard": rest[0] if rest else 0.0,
    }


def _upgrade_window(track: Sequence[Any]) -> dict[str, Any]:
    name, first, last, blocks, under_way, *rest = track
    columns = dict(zip(Blocks.model_fields, zip(*blocks, under_way, strict=True), strict=True))
    names = ("in_use", "maximum", "over", "waiting", "leaking")
    found = {"name": name, "first": first, "last": last, "blocks": columns}
    return found | dict(zip(names, rest, strict=True))


_ANY = {"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}]}

StoredState = Annotated[
    JudgeState | UnreadableState | None, BeforeValidator(read_state), WithJsonSchema(_ANY)
]
"""Type of the status field. The CRD does not restrict it, so the API server accepts any content."""
