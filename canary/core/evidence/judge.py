"""The judge of "bad requests out of requests": a pure fold over increments of counters.

Silence is never a verdict: intervals without canary requests change nothing. `Fail` is latched and
outranks `Pass`. Folding at once, in pieces, or through a stored state gives the same bits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import add

from canary.core.evidence.baseline import Baseline
from canary.core.evidence.bets import Bets, compute_fresh_capital
from canary.core.evidence.outage import Outage
from canary.core.evidence.overdispersion import Overdispersion, null_shares, tolerated_odds
from canary.core.evidence.pod_windows import PodWindows, PodWindowsState
from canary.core.evidence.policy import FailReason, Interval, PodCount, RatioPolicy, Stratum
from canary.core.evidence.promotion import Promotion
from canary.core.evidence.ratio import Ratio
from canary.core.evidence.replacement import ReplacementTest

_BLOCK = 5.0
_LEAST_BAD = 5.0
_STRADDLE = 0.1
_START_SLACK = 15.0
_SUSPICION = 10.0
_REASONS = tuple(FailReason)


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """Everything the judge remembers, as numbers (and the names of pods and routes)."""

    values: tuple[float, ...] = ()
    names: tuple[tuple[str, ...], tuple[str, ...]] = field(default=((), ()))
    windows: PodWindowsState | None = None
    open_pods: tuple[PodCount, ...] = ()
    open_routes: tuple[Stratum, ...] = ()
    """Counts of the block that is not complete yet."""


class Judge:
    """The mutable engine behind `fold_intervals`; for callers that fold often."""

    __slots__ = (
        "_open",
        "_policy",
        "baseline",
        "bets",
        "failed",
        "first",
        "judged_bad",
        "outage",
        "overdispersion",
        "passing_since",
        "promotion",
        "ratio",
        "replacement",
        "totals",
        "windows",
    )

    def __init__(self, policy: RatioPolicy, state: EvidenceState | None = None) -> None:
        self._policy = policy
        self.baseline = Baseline(policy.tolerated_incident)
        self.bets = Bets()
        self.outage = Outage()
        self.promotion = Promotion()
        self.ratio = Ratio()
        self.replacement = ReplacementTest()
        self.overdispersion: Overdispersion | None = None
        self.first: float | None = None
        self.failed: tuple[float, FailReason] | None = None
        self.passing_since: float | None = None
        self.judged_bad = 0.0
        self.totals = (0.0, 0.0, 0.0, 0.0)
        self._open: Interval | None = None
        kept = None if state is None else state.windows
        self.windows = PodWindows(kept or PodWindowsState(policy.tolerated_incident))
        if state is not None and state.values:
            self._load(state)

    def step(self, interval: Interval) -> None:
        """Takes in the increments of one sampling interval; intervals come in order of time."""
        # Two counters are never read at quite the same moment.
        if interval.canary_bad > interval.canary_total or interval.stable_bad > (
            interval.stable_total
        ):
            interval = interval._replace(
                canary_bad=min(interval.canary_bad, interval.canary_total),
                stable_bad=min(interval.stable_bad, interval.stable_total),
            )
        start, end, canary, bad, stable, stable_bad, *_ = interval
        if self.first is None and canary > 0.0:
            self.first = max(start, end - _START_SLACK)
        if self.first is not None:
            a, b, c, d = self.totals
            self.totals = (a + canary, b + bad, c + stable, d + stable_bad)
            # Alone, nothing tells an outage of this version from one of what it depends on.
            together = canary > 0.0 and not self._policy.alone
            if together and self.outage.step(interval, self.baseline, self._policy):
                self._fail(end, FailReason.CANARY_OUTAGE)
        block = interval if self._open is None else _join_intervals(self._open, interval)
        if self._closes(block, interval):
            self._open = None
            self._block(block)
        else:
            self._open = block
        # The guard takes intervals, not blocks: its windows end where scrapes do.
        judged = canary > 0.0 and self._warmed_up(interval)
        if self.windows.step(interval, self._policy, judged=judged):
            self._decide(end)

    def _closes(self, block: Interval, last: Interval) -> bool:
        """Whether the block is long enough, and ends with something to judge.

        Sampled more often than scraped, most samples are empty: a block that ends with the scrape
        that counts, and not somewhere between two, is judged seconds earlier.
        """
        length = block.end - block.start
        if length < _BLOCK - 1e-6 or last.end - last.start >= _BLOCK - 1e-6:
            return length >= _BLOCK - 1e-6
        return last.canary_total > 0.0 or self.first is None or length >= 2 * _BLOCK - 1e-6

    def _fail(self, at: float, reason: FailReason) -> None:
        self.passing_since = None
        if self.failed is None:
            self.failed = (at, reason)

    def _block(self, block: Interval) -> None:
        """Judges one block of at least five seconds."""
        start, end, canary, bad, stable, stable_bad, pods, strata, _ = block
        baseline, policy = self.baseline, self._policy
        # What the next bet is slowed down by must be known before its outcome is.
        clumps = baseline.clump_and_dispersion() if bad or stable_bad else (0.0, 1.0)
        if stable > 0.0:
            baseline.add(end, stable, stable_bad)
            if pods or strata:
                self.overdispersion = self.overdispersion or Overdispersion()
                self.overdispersion.add(end, pods, strata)
        if self.first is None or canary <= 0.0:
            return
        if not self._warmed_up(block):
            return
        since = start - self.first - policy.warm_up
        self.judged_bad += bad
        if stable > 0.0:
            self.ratio.add(canary, bad, stable, stable_bad)
            self.replacement.add(block, self.baseline, self._policy)
        # With nothing known of stable there is nothing to bet against.
        if baseline.total > 0.0 or policy.alone:
            self._bet(block, clumps, max(since, 0.0) + end - start)
        if bad:
            # Without a bad canary request evidence cannot have grown.
            self._decide(end)
        self._promote(block)

    def _warmed_up(self, block: Interval) -> bool:
        """Whether the canary's requests of an interval count."""
        if self.first is None:
            return False
        # A block that begins within the warm-up by a tenth of its length counts whole.
        since = block.start - self.first - self._policy.warm_up
        return since >= -_STRADDLE * (block.end - block.start)

    def _decide(self, at: float) -> None:
        policy = self._policy
        if self.judged_bad < _LEAST_BAD or self.evidence() < 1.0 / policy.false_positive_rate:
            return
        # That it is worse is proven; which of the two reasons to name needs less.
        above = policy.limit is not None and self.bets.limit_evidence() >= _SUSPICION
        self._fail(at, FailReason.ABOVE_LIMIT if above else FailReason.WORSE_THAN_STABLE)

    def _bet(self, block: Interval, clumps: tuple[float, float], since: float) -> None:
        start, end, canary, bad, stable, stable_bad = block[:6]
        baseline, bets, policy = self.baseline, self.bets, self._policy
        bets.add_capital(compute_fresh_capital(since, end - start))
        tolerance, mix = policy.tolerance, 1.0
        if self.overdispersion is not None:
            tolerance *= 1.0 + 2.0 * self.overdispersion.spread(clumps[0])
            mix = self.overdispersion.mix(block.strata)
        if (bad or stable_bad) and stable > 0.0 and not policy.alone:
            odds = tolerated_odds(tolerance, baseline, end, policy.floor)
            share_bad, nulls = null_shares(odds, block)
            if nulls:
                bets.bet_on_share(share_bad, nulls, clumps)
        counts = (canary, bad, stable)
        bets.bet_on_rates((start, end), counts, baseline, policy, (tolerance, mix))

    def _promote(self, block: Interval) -> None:
        promotion, policy = self.promotion, self._policy
        promotion.add(block, self.baseline, policy)
        if self.passing_since is not None and not block.canary_bad:
            return  # a block without a bad canary request takes no Pass away
        passing = (
            promotion.seconds >= policy.min_duration
            and self.failed is None
            and promotion.small_regression_excluded(self.baseline, policy)
            and self.evidence() < _SUSPICION
        )
        if not passing:
            self.passing_since = None
        elif self.passing_since is None:
            self.passing_since = block.end

    def evidence(self) -> float:
        """E-value against "no worse than tolerated", at most 1e15.

        The bets' or the guard's, whichever says less; the guard's is scaled so that it reaches
        1/false_positive_rate where it is enough.
        """
        policy = self._policy
        bets = self.bets.evidence(alone=policy.alone, limited=policy.limit is not None)
        return min(bets, self.windows.wealth / (self.windows.enough * policy.false_positive_rate))

    def state(self) -> EvidenceState:
        """A copy of all that is remembered."""
        failed = (0.0,) if self.failed is None else (1.0, self.failed[0])
        reason = () if self.failed is None else (float(_REASONS.index(self.failed[1])),)
        pending = (0.0,) if self._open is None else (1.0, *self._open[:6])
        spread = [0.0] if self.overdispersion is None else [1.0, *self.overdispersion.dump()]
        values = [
            *failed,
            *reason,
            *_write_optional(self.first),
            *_write_optional(self.passing_since),
        ]
        values += [self.judged_bad, *self.totals, *pending]
        for part in (self.baseline, self.bets, self.outage, self.promotion, self.ratio):
            values += part.dump()
        names = self.overdispersion.names() if self.overdispersion is not None else ((), ())
        values += [*spread, *self.replacement.dump(), *self.baseline.dump_windows()]
        windows = self.windows.state()
        if self._open is None:
            return EvidenceState(tuple(values), names, windows)
        return EvidenceState(tuple(values), names, windows, self._open.pods, self._open.strata)

    def _load(self, state: EvidenceState) -> None:
        numbers = iter(state.values)
        if next(numbers):
            self.failed = (next(numbers), _REASONS[int(next(numbers))])
        self.first = _load_optional(numbers)
        self.passing_since = _load_optional(numbers)
        self.judged_bad = next(numbers)
        self.totals = (next(numbers), next(numbers), next(numbers), next(numbers))
        if next(numbers):
            start, end, canary, bad, stable, stable_bad = (next(numbers) for _ in range(6))
            self._open = Interval(
                start, end, canary, bad, stable, stable_bad, state.open_pods, state.open_routes
            )
        for part in (self.baseline, self.bets, self.outage, self.promotion, self.ratio):
            part.load(numbers)
        if next(numbers):
            self.overdispersion = Overdispersion()
            self.overdispersion.load(numbers, state.names)
        self.replacement.load(numbers)
        self.baseline.load_windows(numbers)


def _write_optional(value: float | None) -> tuple[float, ...]:
    return (0.0,) if value is None else (1.0, value)


def _load_optional(numbers: Iterator[float]) -> float | None:
    if not next(numbers):
        return None
    return next(numbers)


def _join_intervals(first: Interval, second: Interval) -> Interval:
    """Two neighbouring intervals as one."""
    return Interval(
        first.start,
        second.end,
        first.canary_total + second.canary_total,
        first.canary_bad + second.canary_bad,
        first.stable_total + second.stable_total,
        first.stable_bad + second.stable_bad,
        tuple(PodCount(name, *n) for name, n in _by_name(first.pods + second.pods)),
        tuple(Stratum(name, *n) for name, n in _by_name(first.strata + second.strata)),
        # Nothing that is judged by block needs the canary's pods.
    )


def _by_name(every: Iterable[PodCount | Stratum]) -> Iterable[tuple[str, list[float]]]:
    """Their counts, those of one name added up."""
    sums: dict[str, list[float]] = {}
    for name, *counts in every:
        before = sums.get(name)
        sums[name] = counts if before is None else list(map(add, before, counts))
    return sums.items()


def fold_intervals(
    state: EvidenceState, policy: RatioPolicy, intervals: Iterable[Interval]
) -> EvidenceState:
    """The state after `intervals`; `state` stays as it is. Start with `EvidenceState()`."""
    judge = Judge(policy, state)
    step = judge.step
    for interval in intervals:
        step(interval)
    return judge.state()


def start_after_promotion(state: EvidenceState, policy: RatioPolicy) -> EvidenceState:
    """Return the state that the bake starts from: stable's history without the canary's."""
    judge = Judge(policy)
    before = Judge(policy, state)
    judge.baseline = before.baseline
    judge.windows = PodWindows(before.windows.calibration())
    return judge.state()
