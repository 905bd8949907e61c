"""`status.judge`: what the judge remembers of a release, per metric, with names and a version.

State that cannot be read, for whatever reason, is a value (`UnreadableState`) and never an
exception: the judge then starts again from the release's start, and everything that protects the
release runs all the same.
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
Numbers = tuple[float, ...]
Count = Annotated[float, Field(ge=0)]


class StoredModel(Frozen):
    """Finite numbers only; fields that a newer operator added are left out."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class StoredSilence(StoredModel):
    """Why a metric said nothing at the last analysis."""

    verdict: Verdict
    why: str


class RequestCounts(StoredModel):
    """Requests, and the bad ones among them, of both versions."""

    canary: Count = 0.0
    canary_bad: Count = 0.0
    stable: Count = 0.0
    stable_bad: Count = 0.0


class RequestPeriod(RequestCounts):
    """Requests between two times (seconds since the epoch)."""

    start: float
    end: float


class NamedCounts(StoredModel):
    """Stable's requests of one pod or route."""

    name: str
    total: Count
    bad: Count


class RouteCounts(RequestCounts):
    """Requests of both versions on one route."""

    name: str


class OpenBlock(RequestPeriod):
    """A block that is not yet long enough to be judged; `pods` are stable's."""

    pods: tuple[NamedCounts, ...] = ()
    routes: tuple[RouteCounts, ...] = ()


class RateBlock(StoredModel):
    """Requests since `start` (seconds) that the bets on rates are still waiting to judge."""

    start: float
    canary: Count
    canary_bad: Count
    stable: Count


class BaselineState(StoredModel):
    """Stable's requests: the last ten minutes by block, and how its errors clump."""

    times: Numbers = ()
    """End of each block (seconds since the epoch), ascending."""
    totals: Numbers = (0.0,)
    """Running sum of requests: before the first block, and after each of them."""
    bad: Numbers = (0.0,)
    """Running sum of bad requests, as `totals`."""
    last_total: Count = 0.0
    last_bad: Count = 0.0
    """The newest block."""
    squares: Count = 0.0
    rates: Count = 0.0
    pairs: NonNegativeInt = 0
    """Squared differences of neighbouring blocks, their summed rates, and their number."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not len(self.times) + 1 == len(self.totals) == len(self.bad):
            raise ValueError("expected one more running sum than times")
        if list(self.times) != sorted(self.times):
            raise ValueError("expected times in ascending order")
        return self


class BetsState(StoredModel):
    """Wealth of every stake, in the order of `bet_sizes.py`."""

    share: Annotated[Numbers, Field(min_length=SHARE_STAKES, max_length=SHARE_STAKES)]
    """Share bets, then grid bets."""
    rates: Annotated[Numbers, Field(min_length=RATE_STAKES, max_length=RATE_STAKES)]
    """Bets against the limit, then against stable's own rate."""
    share_capital: Count = 0.0
    rates_capital: Count = 0.0
    """Fresh capital that is staked with the next block."""
    block: RateBlock | None = None


class OutageState(StoredModel):
    """The present run of samples in which at least half of the canary's requests are bad."""

    seen: Count = 0.0
    seen_bad: Count = 0.0
    """Canary's requests before the run."""
    samples: NonNegativeInt = 0
    start: float = 0.0
    total: Count = 0.0
    bad: Count = 0.0
    stable: Count = 0.0
    stable_bad: Count = 0.0
    excused: bool = False
    """The canary had been well before."""


class PromotionState(StoredModel):
    """Seconds under traffic, bad requests, and those that each kind of damage would bring."""

    seconds: Count = 0.0
    bad: Count = 0.0
    small: Count = 0.0
    gross: Count = 0.0


class ReplacementState(StoredModel):
    """Canary requests, and the bad ones among them, since stable is broken."""

    total: Count = 0.0
    bad: Count = 0.0


class ClumpState(StoredModel):
    """How stable's errors clump within windows as long as a tolerated incident."""

    opened: bool = False
    since: float = 0.0
    total: Count = 0.0
    bad: Count = 0.0
    """The window that is not complete yet; `since` in seconds since the epoch."""
    last_total: Count = 0.0
    last_bad: Count = 0.0
    squares: Count = 0.0
    rates: Count = 0.0
    pairs: NonNegativeInt = 0
    """As in `BaselineState`, by window."""


class SpreadState(StoredModel):
    """How stable's pods and routes differ; `time` is that of the last block (seconds)."""

    time: float | None = None
    pods: tuple[NamedCounts, ...] = ()
    routes: tuple[NamedCounts, ...] = ()


class ErrorWindows(StoredModel):
    """Past windows of stable's pods with about as many bad requests, fading with time."""

    bad: Count
    whole: bool = False
    """All of one pod, though only sums are known."""
    windows: Annotated[float, Field(gt=0)]
    requests: Annotated[float, Field(gt=0)]


class OpenWindow(StoredModel):
    """One pod in the window that is not complete; `bad` per part of it."""

    canary: bool
    pod: str
    total: Count
    bad: tuple[Count, ...]


WindowParts = Annotated[tuple[Count, ...], Field(min_length=1)]


class StoredWindows(StoredModel):
    """The guard that compares pods, window by window (`core/evidence/pod_windows.py`)."""

    seconds: Count
    """Length of a window."""
    clean: Count = 0.0
    clean_requests: Count = 0.0
    """Past windows of stable's pods without errors."""
    bins: tuple[ErrorWindows, ...] = ()
    wealth: Annotated[Numbers, Field(min_length=GUARD_STAKES, max_length=GUARD_STAKES)]
    earlier: Annotated[Numbers, Field(max_length=GUARD_STAKES)] = ()
    """Wealth before the last window; empty: as it is now."""
    seen: Count = 0.0
    """Seconds in which stable's windows were counted, fading with time."""
    compared: Count = 0.0
    """Windows of the canary's that were compared, fading with time."""
    recent: Annotated[tuple[WindowParts, ...], Field(max_length=4)] = ()
    """Bad requests of the canary by part of its last windows."""
    judged_seconds: Count = 0.0
    judging: bool = False
    """The canary has warmed up."""
    open_since: float | None = None
    part_since: float | None = None
    part: Annotated[int, Field(ge=0, le=10_000)] = 0
    open_pods: tuple[OpenWindow, ...] = ()
    """The window that is not complete yet; times are seconds since the epoch."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
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
    """The evidence on one ratio metric. `numbers` and `of` translate for the engine."""

    failed: EvidenceFailure | None = None
    first: float | None = None
    """When the canary's first request came (seconds since the epoch)."""
    passing_since: float | None = None
    judged_bad: Count = 0.0
    """Bad canary requests after warm-up."""
    totals: RequestCounts = RequestCounts()
    """Since the canary's first request."""
    open: OpenBlock | None = None
    baseline: BaselineState = BaselineState()
    bets: BetsState
    outage: OutageState = OutageState()
    promotion: PromotionState = PromotionState()
    steps: tuple[RequestCounts, ...] = ()
    """Requests per step of weight, for the ratio and its bounds."""
    spread: SpreadState | None = None
    pod_windows: StoredWindows | None = None
    """None: written by an operator that did not compare pods yet."""
    replacement: ReplacementState = ReplacementState()
    clumps: ClumpState = ClumpState()

    @classmethod
    def of(
        cls, values: Sequence[float], names: Sequence[Sequence[str]], version: int = VERSION
    ) -> Self:
        """From the engine's numbers in their order, or from those of version 1.

        Raises StopIteration, ValueError or IndexError when they are not that.
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
        return cls.model_validate(found)

    def numbers(self) -> tuple[Numbers, tuple[tuple[str, ...], tuple[str, ...]]]:
        """As the engine takes them, with the names of pods and of routes."""
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
        if spread is None:
            return (*flat, 0.0, *_list_values(self.replacement), *_list_values(self.clumps)), (
                (),
                (),
            )
        flat += (1.0, *_write_optional(spread.time))
        for named in (*spread.pods, *spread.routes):
            flat += (named.total, named.bad)
        pods, routes = (tuple(one.name for one in some) for some in (spread.pods, spread.routes))
        return (*flat, *_list_values(self.replacement), *_list_values(self.clumps)), (pods, routes)


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
    if version == 1:  # it kept the wealth before recent blocks, which nothing needs any more
        for width in (SHARE_STAKES, RATE_STAKES):
            _read_numbers(numbers, int(next(numbers)) * (1 + width))
    return found


class MetricState(StoredModel):
    """What every kind of metric keeps."""

    until: float | None = None
    """Judged up to this time (seconds since the epoch)."""
    quiet: StoredSilence | None = None


class RatioState(MetricState):
    """One metric that counts bad requests out of requests."""

    seen: float | None = None
    """When a request last reached the canary (seconds since the epoch)."""
    alone: bool = False
    """Judged against stable's past, as after a promotion."""
    bound: str = ""
    """The histogram bound that latency was counted by; empty where it is not latency."""
    evidence: EvidenceParts | None = None
    """None: nothing was folded yet."""


class Blocks(StoredModel):
    """Pieces of a pool's window, one column per figure (`core.pools.window.Block`)."""

    samples: Numbers = ()
    seconds: Numbers = ()
    used: Numbers = ()
    held: Numbers = ()
    floor: Numbers = ()
    requests: Numbers = ()
    spread: Numbers = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len({len(getattr(self, name)) for name in Blocks.model_fields}) != 1:
            raise ValueError("expected columns of one length")
        return self


class StoredPoolWindow(StoredModel):
    """A `core.pools.window.SlidingWindow`, stored; the last block is open."""

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
    """The bet on shares of connections (`core.pools.share_test.ShareBet`)."""

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
    """One connection pool."""

    canary: tuple[StoredPoolWindow, ...] = ()
    stable: StoredPoolWindow | None = None
    """Stable's average pod; None: nothing was folded yet."""
    bet: PoolBet | None = None
    covered: float = 0.0
    """Seconds under traffic."""
    shared: bool = False
    failed: PoolFailed | None = None
    unheard: float = 0.0
    """Seconds since the last sample in which traffic showed."""


class QueryState(MetricState):
    """One user's own query and its bounds; times are seconds since the epoch."""

    outside_since: float | None = None
    failed_at: float | None = None
    last: float | None = None
    seen_at: float | None = None


class TrafficShareState(StoredModel):
    """Requests of both versions since the present weight (percent) was confirmed."""

    weight: int = 0
    canary: Count = 0.0
    stable: Count = 0.0


class Restarted(StoredModel):
    """The judge started again from the release's start."""

    at: float
    """Seconds since the epoch: the weight may not rise before it has caught up to here."""
    why: str


class JudgeState(StoredModel):
    """Per metric, by name; what is judged is judged up to `until` of the metric."""

    version: Literal[2] = 2
    ratios: dict[str, RatioState] = Field(default_factory=dict)
    pools: dict[str, StoredPool] = Field(default_factory=dict)
    queries: dict[str, QueryState] = Field(default_factory=dict)
    traffic_share: TrafficShareState = TrafficShareState()
    restarted: Restarted | None = None

    def metrics(self) -> Mapping[str, RatioState | StoredPool | QueryState]:
        """All kinds together."""
        return {**self.ratios, **self.pools, **self.queries}


class UnreadableState(StoredModel):
    """State that could not be read, and why."""

    unreadable: str


def read_state(data: object) -> "JudgeState | UnreadableState | None":
    """The state of `status.judge`, written by this version or the one before. Never raises."""
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
    except Exception:  # noqa: BLE001 - anything may be in it, and none of it may stop a pass
        why = "it is not in the form of version 1"
    return UnreadableState(unreadable=why[:_MAX_CHARACTERS])


def _upgrade_version_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1: a mapping per metric with numbers in order, and the traffic's share under ""."""
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
            parts = EvidenceParts.of(values, names, version=1) if values else None
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
"""The field of the status; the schema of a cluster leaves it open, so that nothing is refused."""
