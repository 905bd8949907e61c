"""The pod-window guard: tests whether a canary pod behaves like one of stable's pods.

The bets compare the requests of canary and stable at the same time. Errors that belong to a pod
(garbage collection, a slow node) violate their assumptions: a hiccup affects all requests of one
pod at once, and in the first steps the canary has a larger share of the pods than of the traffic.
This guard counts one pod in one window of `seconds` as one observation, however many of its
requests failed. A canary fails only if both the bets and the guard have enough evidence.

Each canary window is compared with the windows of stable's pods by a conformal e-value. These are
the windows of the last hour, including history before the release, and of the same time. With a
score s

    e = (k + 1) · s(canary) / (Σ s(stable window, thinned to the canary's requests) + s(canary))

for k stable windows. If the canary's window is exchangeable with stable's, the mean of e is at most
1, whatever the distribution of errors. e is never more than k + 1.

The scores are functions of the number x of bad requests whose mean after thinning has a closed
form: if each bad request is kept with probability q, the mean of z^x is (1 + (z − 1)·q)^x.

* θ^x with θ in (1.5, 3, 10): fast while most of stable's windows have no errors.
* (1 − z^x)² with z in (0.5, 0.85): bounded, so that the few windows with a hiccup do not outweigh
  all others. This score finds a fault in a service whose pods often have hiccups: the canary has
  errors in the windows between hiccups, and most of stable's windows have none.

Each score is staked: M ← (M + g)·(1 − f + f·e), e averaged over the canary's pods (pods on one node
fail together), f in (0.3, 0.7). `wealth` is the average of all M. e is capped, which is always
valid: at 3 for the bounded scores, and at 10 for errors that did not last through the window.

The hard case is a hiccup of a kind that stable has not had yet, especially with little history: the
probability that the first one hits the canary is its share of the pods. Three rules handle it:

* Two adjacent windows may contain the same hiccup: together they multiply the wealth by at most
  1 + k/c, the odds that the first hiccup is the canary's (c: number of its windows so far).
* Lasting errors are not a hiccup and have no such limit: errors in five of the six parts of the
  last two windows, or in each of the last three windows (spread evenly over their parts, until
  stable has 25 minutes of history).
* `enough` is 20 once stable has 25 minutes of history; before, it is 200. For errors spread evenly
  over the last three windows it is 20 times the wealth before the current run of windows with
  errors (at least 20, at most 200), because single errors must not complete what earlier hiccups
  began. Several hiccups in a row are not spread evenly: they leave most parts empty.

Worked example. Stable has 2 pods and one hour of history in 30 s windows: k = 240, of which 232
without errors and 8 with a hiccup of 40 bad of 1,000 requests. The canary's pod has 100 requests in
its window and 5 of them fail: x = 5. Thinned with the tolerance 1.25 a hiccup keeps a bad request
with q = 1.25·100/1000 = 0.125. For θ = 1.5: Σ = 232 + 8·1.0625^40 = 322, s = 1.5^5 = 7.6 and e =
241·7.6/330 = 5.5. For z = 0.5: Σ = 8·(1 − 2·0.9375^40 + 0.90625^40) = 6.9, s = 0.94 and e =
241·0.94/7.8 = 29, of which 3 count. If the five errors are a hiccup of the canary, the next
windows have no errors and e is below 1, so the wealth falls again.

Worked example with little history. Three windows of the canary have (0, 6, 3), (5, 0, 0) and
(0, 0, 3) bad requests in their parts: 17 in 4 of 9 parts. Seventeen errors at random times leave
9·(8/9)^17 = 1.2 parts empty on average; one more is allowed, but here 5 are. These are hiccups, and
`enough` is 200. With (2, 1, 3), (1, 0, 2) and (1, 3, 1) only one part is empty. These errors are
spread evenly, the wealth before them was 0.8, which counts as 1, and `enough` is 20.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add, mul
from typing import NamedTuple

from canary.core.evidence.policy import Interval, RatioPolicy

_ENOUGH, _ENOUGH_UNKNOWN, _KNOWN_WELL = 20.0, 200.0, 1500.0
_REMEMBERED = 3
_PARTS_PER_MISSED = 6
_MOST = 1e15
_HALF_LIFE = 3600.0
_FORGOTTEN = 1e-3
_MOST_PODS = 32
_EXACT, _FINER = 8, 1.2
_START, _SUPPLY, _SUPPLY_SECONDS = 0.8, 0.2, 7200.0
_THETAS = (1.5, 3.0, 10.0)
_BOUNDED = (0.5, 0.85)
_MORE = tuple(theta - 1.0 for theta in _THETAS)
_NOTHING = (0.0,) * len(_BOUNDED)
_LARGEST = 700.0
_WEIGHTS = (0.25, 0.5, 0.15, 0.05, 0.05)
_STAKES = (0.3, 0.7)
_STAKED = tuple((1.0 - stake, stake) for stake in _STAKES)
"""Per stake: the kept part and the staked part."""
_SHARES = tuple(weight / len(_STAKES) for weight in _WEIGHTS for _ in _STAKES)
_SCORES = len(_THETAS) + len(_BOUNDED)
_MOST_BOUNDED = 3.0
_MOST_BRIEF = 10.0
_LEAST_PARTS = 2
_KNOWN = 8.0
_EPSILON = 1e-6


class ErrorBin(NamedTuple):
    """Past windows of stable's pods with similar numbers of bad requests."""

    bad: float
    whole: bool
    """Whether only sums are known, so that all requests are attributed to one pod, not thinned."""
    windows: float
    """Number of windows, decayed."""
    requests: float
    """Requests in all these windows, decayed."""


class OpenPod(NamedTuple):
    """Counts of one pod in the incomplete window."""

    canary: bool
    pod: str
    total: float
    bad: tuple[float, ...]
    """Bad requests in each part of the incomplete window."""


@dataclass(frozen=True, slots=True)
class PodWindowsState:
    """The state of the guard: plain numbers and names, for storage as JSON."""

    seconds: float
    """Length of a window in seconds."""
    clean: float = 0.0
    """Past windows of stable's pods without errors, decayed."""
    clean_requests: float = 0.0
    bins: tuple[ErrorBin, ...] = ()
    wealth: tuple[float, ...] = (_START,) * (_SCORES * len(_STAKES))
    """Wealth per score and stake."""
    earlier: tuple[float, ...] = ()
    """Wealth before the last window; empty if unchanged."""
    seen: float = 0.0
    """Seconds in which stable's windows were counted, decayed."""
    compared: float = 0.0
    """Number of canary windows compared, decayed."""
    recent: tuple[tuple[float, ...], ...] = ()
    """Bad requests of the canary in each part of its last windows, newest last."""
    before_run: float = 0.0
    """Wealth before the current run of windows with errors; 0 if the last window had none."""
    known_well: bool = False
    """Whether stable had 25 minutes of history when a canary window was last compared."""
    judged_seconds: float = 0.0
    """Seconds for which canary windows have been compared; negative before the first."""
    judging: bool = False
    open_since: float | None = None
    """Start of the incomplete window (seconds)."""
    part_since: float | None = None
    """Start of the last part of the incomplete window (seconds)."""
    part: int = 0
    """Number of complete parts in the incomplete window."""
    open_pods: tuple[OpenPod, ...] = ()


class PodWindows:
    """The mutable engine of the guard."""

    __slots__ = (
        "_before_run",
        "_bins",
        "_clean",
        "_clean_requests",
        "_compared",
        "_earlier",
        "_judged_seconds",
        "_judging",
        "_known",
        "_known_bad",
        "_known_requests",
        "_known_well",
        "_open",
        "_part",
        "_part_since",
        "_recent",
        "_seconds",
        "_seen",
        "_since",
        "_wealth",
    )

    def __init__(self, state: PodWindowsState) -> None:
        self._seconds = state.seconds
        self._clean = state.clean
        self._clean_requests = state.clean_requests
        self._bins = {(b.bad, b.whole): (b.windows, b.requests) for b in state.bins}
        self._wealth = list(state.wealth)
        self._earlier = list(state.earlier or state.wealth)
        self._seen = state.seen
        self._compared = state.compared
        self._recent = state.recent
        self._before_run = state.before_run
        self._known_well = state.known_well
        self._judged_seconds = state.judged_seconds
        self._judging = state.judging
        self._since = state.open_since
        self._part = state.part
        self._part_since = state.part_since
        self._open = {(p.canary, p.pod): [p.total, *p.bad] for p in state.open_pods}

    def state(self) -> PodWindowsState:
        """Return a copy of the state."""
        return PodWindowsState(
            self._seconds,
            self._clean,
            self._clean_requests,
            tuple(ErrorBin(*key, *counts) for key, counts in self._bins.items()),
            tuple(self._wealth),
            tuple(self._earlier),
            self._seen,
            self._compared,
            self._recent,
            self._before_run,
            self._known_well,
            self._judged_seconds,
            self._judging,
            self._since,
            self._part_since,
            self._part,
            tuple(OpenPod(*pod, n, tuple(bad)) for pod, (n, *bad) in self._open.items()),
        )

    def calibration(self) -> PodWindowsState:
        """Return only stable's past windows, for a version that is analyzed alone."""
        return PodWindowsState(
            self._seconds,
            self._clean,
            self._clean_requests,
            self.state().bins,
            seen=self._seen,
        )

    @property
    def wealth(self) -> float:
        """Return the e-value against "a canary pod is like one of stable's pods", at most 1e15."""
        if self._seconds <= 0.0:
            return _MOST
        value: float = sum(map(mul, _SHARES, self._wealth))
        return value if value < _MOST else _MOST

    @property
    def enough(self) -> float:
        """Wealth at which the guard agrees to a rollback."""
        if self._known_well:
            return _ENOUGH
        if _are_even(self._recent):
            return min(_ENOUGH_UNKNOWN, _ENOUGH * max(1.0, self._before_run))
        return _ENOUGH_UNKNOWN

    def add_interval(self, interval: Interval, policy: RatioPolicy, *, judged: bool) -> bool:
        """Add one sampling interval; return whether a canary window was compared.

        `judged`: the canary has warmed up, so its requests count. Windows restart at that moment.
        """
        if self._seconds <= 0.0:
            return False
        if judged and not self._judging:
            self._judging = True
            self._begin_window()
        if self._since is None or self._part_since is None:
            self._since = self._part_since = interval.start
        _, _, canary, bad, stable, stable_bad, pods, _, canary_pods = interval
        # If only sums are known, each version counts as one pod.
        if self._judging and canary > 0.0:
            self._count_pods(True, canary_pods or (("", canary, bad),))
        if stable > 0.0:
            self._count_pods(False, pods or (("", stable, stable_bad),))
        # With more samples than scrapes most samples are empty, so a window ends with a scrape.
        length = interval.end - self._since
        empty = interval.canary_total + interval.stable_total <= 0.0
        if empty and length < 2.0 * self._seconds:
            return False
        if interval.end - self._part_since >= self._seconds / 3.0 - _EPSILON:
            self._part += 1
            self._part_since = interval.end
        if self._part < _LEAST_PARTS or length < self._seconds - _EPSILON:
            return False
        compared = self._close_window(length, policy)
        self._begin_window()
        return compared

    def _begin_window(self) -> None:
        self._since = self._part_since = None
        self._part = 0
        self._open = {}

    def _count_pods(self, canary: bool, pods: Iterable[tuple[str, float, float]]) -> None:  # noqa: FBT001
        opened, parts = self._open, self._part + 2
        for pod, total, bad in pods:
            counts = opened.get((canary, pod))
            if counts is None:
                # The state must stay small. With fewer pods stable is only known less exactly.
                if len(opened) >= _MOST_PODS and not canary:
                    continue
                counts = opened[canary, pod] = [0.0]
            while len(counts) < parts:
                counts.append(0.0)
            counts[0] += total
            counts[-1] += bad

    def _close_window(self, length: float, policy: RatioPolicy) -> bool:
        stable = [(n, sum(bad)) for (side, _), (n, *bad) in self._open.items() if not side]
        canary = [
            (n, [*bad, *[0.0] * (self._part - len(bad))])
            for (side, _), (n, *bad) in self._open.items()
            if side and n > 0.0
        ]
        # Without new windows of stable its last hour is kept unchanged.
        self._decay_past(0.5 ** (length / _HALF_LIFE) if stable else 1.0)
        if stable:
            self._seen += min(length, _HALF_LIFE)
            self._store_window(stable, length, summed=(False, "") in self._open)
        if not canary:
            return False
        self._place_bets(canary, length, policy)
        return True

    def _decay_past(self, by: float) -> None:
        """Decay the counts of the past, and update the sums that depend on them."""
        self._compared *= by
        self._seen *= by
        self._clean *= by
        self._clean_requests *= by
        known, known_requests, known_bad = self._clean, self._clean_requests, 0.0
        bins = {}
        for key, (windows, requests) in self._bins.items():
            faded = windows * by
            if faded > _FORGOTTEN:
                bins[key] = faded, requests * by
                known += faded
                known_requests += requests * by
                known_bad += key[0] * faded
        self._bins = bins
        self._known, self._known_requests, self._known_bad = known, known_requests, known_bad

    def _store_window(
        self, stable: Sequence[tuple[float, float]], length: float, *, summed: bool
    ) -> None:
        for total, bad in stable:
            if bad <= 0.0:
                # A long interval without errors counts as several clean windows.
                windows = max(1.0, min(length, _HALF_LIFE) / self._seconds)
                self._clean += windows
                self._clean_requests += total
                self._known += windows
                self._known_requests += total
                continue
            excess = bad - self._usual_bad(total) if summed else 0.0
            key = (_round_to_bin(excess), True) if excess > 0.0 else (_round_to_bin(bad), False)
            windows, requests = self._bins.get(key, (0.0, 0.0))
            self._bins[key] = windows + 1.0, requests + total
            self._known += 1.0
            self._known_requests += total
            self._known_bad += key[0]

    def _usual_bad(self, total: float) -> float:
        """Return the number of bad requests per window that stable's mean rate explains.

        A larger number belongs to one pod. If it were thinned from the sum of ten pods, the canary
        would be expected to show a tenth of it, although a hiccup of its pod would show completely.
        """
        # With few windows the usual number is unknown; then all errors are thinned.
        if self._known < _KNOWN:
            return math.inf
        mean = self._known_bad / self._known_requests * total
        return mean + 3.0 * math.sqrt(mean) + 3.0

    def _place_bets(
        self, canary: Sequence[tuple[float, list[float]]], length: float, policy: RatioPolicy
    ) -> None:
        # As in the bets: fresh capital for faults that begin late, but only for two hours.
        supply = 0.0
        if self._judged_seconds < _SUPPLY_SECONDS:
            supply = _SUPPLY * length / _SUPPLY_SECONDS
        self._judged_seconds += length
        pods, bad, sums = len(canary), canary[0][1], self._compare_window(*canary[0], policy)
        for total, parts in canary[1:]:
            bad = list(map(add, bad, parts))
            sums = list(map(add, sums, self._compare_window(total, parts, policy)))
        means = [e / pods for e in sums]
        self._recent = (*self._recent, tuple(bad))[-_REMEMBERED:]
        self._compared += pods
        # Only here: time without requests of the canary must not lower what is enough.
        self._known_well = self._seen >= _KNOWN_WELL
        if not any(bad):
            self._before_run = 0.0
        elif not self._before_run:
            self._before_run = self.wealth
        before = [wealth + supply for wealth in self._wealth]
        self._wealth = list(map(mul, before, [rest + f * e for e in means for rest, f in _STAKED]))
        # Windows without errors never increase the wealth.
        if any(bad):
            self._hold_back(before, supply, alone=policy.alone)
        self._earlier = before

    def _hold_back(self, before: list[float], supply: float, *, alone: bool) -> None:
        """Limit the wealth that two adjacent windows can gain together."""
        # Without stable no pod shows the same moment, so lasting errors may be a shared fault.
        gain = _MOST
        if alone or not _outlasts_hiccup(self._recent, known_well=self._known_well):
            gain = 1.0 + self._known / self._compared
        self._wealth = [
            wealth if wealth <= had else min(_MOST, wealth, max(had, gain * (earlier + supply)))
            for wealth, had, earlier in zip(self._wealth, before, self._earlier, strict=True)
        ]

    def _compare_window(self, total: float, parts: list[float], policy: RatioPolicy) -> list[float]:
        """Return the e-values of a window; errors that did not last through it count less."""
        # A smaller e-value is always valid.
        bad = sum(parts)
        e_values = self._e_values(total, bad, policy)
        return e_values if not bad or _is_steady(parts) else [min(e, _MOST_BRIEF) for e in e_values]

    def _e_values(self, total: float, bad: float, policy: RatioPolicy) -> list[float]:
        """Return one e-value per score, each at most k + 1."""
        count = self._known
        if count <= 0.0:
            return [1.0] * _SCORES
        # Both are thinned to the smaller number of requests.
        size = min(total, self._known_requests / count / policy.tolerance)
        kept = size / total
        wanted = policy.tolerance * size
        past = [
            (x, windows, wanted * windows / n if wanted * windows < n and not whole else 1.0)
            for (x, whole), (windows, n) in self._bins.items()
        ]
        values = []
        log1p, exp = math.log1p, math.exp
        for more in _MORE:
            own = bad * log1p(more * kept)
            # Scores are divided by the canary's score, so that large counts do not overflow.
            others = self._clean * exp(-own)
            for x, windows, q in past:
                power = x * log1p(more * q) - own
                others += windows * exp(power if power < _LARGEST else _LARGEST)
            values.append((count + 1.0) / (others + 1.0))
        if bad <= 0.0:
            return [*values, *_NOTHING]
        for z in _BOUNDED:
            own = _bound_variance(z, bad, kept)
            others = sum(windows * _bound_variance(z, x, q) for x, windows, q in past)
            e = (count + 1.0) * own / (others + own) if own > 0.0 else 0.0
            values.append(min(e, _MOST_BOUNDED))
        return values


def _is_steady(parts: Sequence[float]) -> bool:
    """Return whether bad requests came all through the window, as those of a fault do.

    A hiccup of 20 s rarely fills all thirds of 30 s equally. The square root allows for chance: (5,
    8, 2) is steady, (35, 50, 15) is not.
    """
    return min(parts) >= _expected_least(parts)


def _outlasts_hiccup(recent: Sequence[Sequence[float]], *, known_well: bool) -> bool:
    """Return whether the canary's errors have lasted longer than a hiccup.

    They have if they are in all but one part of the last two windows, or in each of the last three
    windows (a fault with few errors). A hiccup as long as a window is in at most four of six parts.
    With little history of stable the three windows must be spread evenly: see `_are_even`.
    """
    if len(recent) < 2 or not any(recent[-1]):  # noqa: PLR2004 - the last two windows
        return False
    parts = [*recent[-2], *recent[-1]]
    if sorted(parts)[len(parts) // _PARTS_PER_MISSED] >= max(1.0, _expected_least(parts)):
        return True
    return _are_in_three_windows(recent) if known_well else _are_even(recent)


def _are_in_three_windows(recent: Sequence[Sequence[float]]) -> bool:
    """Return whether each of the last three windows has errors, in similar numbers."""
    windows = [sum(window) for window in recent]
    return len(windows) == _REMEMBERED and min(windows) >= max(1.0, _expected_least(windows))


def _are_even(recent: Sequence[Sequence[float]]) -> bool:
    """Return whether errors are spread evenly over the parts of the last three windows.

    On average m errors at random times leave P·(1 − 1/P)^m of P parts empty; one more is allowed.
    Several hiccups in a row are in three windows as well, but leave more parts empty.
    """
    if not _are_in_three_windows(recent):
        return False
    parts = [bad for window in recent for bad in window]
    least = max(1.0, _expected_least(parts))
    empty = sum(bad < least for bad in parts)
    by_chance: float = len(parts) * (1.0 - 1.0 / len(parts)) ** sum(parts)
    return empty <= by_chance + 1.0


def _expected_least(bad: Sequence[float]) -> float:
    """Return half of the maximum, minus an allowance for chance."""
    most = max(bad)
    return most / 2.0 - math.sqrt(most)


def _bound_variance(z: float, bad: float, kept: float) -> float:
    """Return the mean of (1 − z^x)² if each of `bad` is kept with that probability."""
    once: float = (1.0 - (1.0 - z) * kept) ** bad
    twice: float = (1.0 - (1.0 - z * z) * kept) ** bad
    return max(0.0, 1.0 - 2.0 * once + twice)


def _round_to_bin(bad: float) -> float:
    """Round bad requests up to a bin: exact up to 8, then in steps of a fifth."""
    if bad <= _EXACT:
        return bad
    steps = math.ceil(math.log(bad / _EXACT) / math.log(_FINER) - _EPSILON)
    return float(math.ceil(_EXACT * _FINER**steps))
