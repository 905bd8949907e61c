"""Seeded releases, simulated second by second and then seen at a sampling interval."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from canary.core.evidence import Interval, PodCount, RatioPolicy, Stratum

Array = NDArray[np.float64]


@dataclass(slots=True)
class Second:
    """Rates of one release by second: `time` is 0 at the canary's first request."""

    time: Array
    rps: Array
    weight: Array
    stable: Array
    canary: Array


Shape = Callable[[Second, np.random.Generator], None]


@dataclass(frozen=True, slots=True)
class Hiccups:
    """Every pod of both versions fails `rate` of its requests for `seconds`, every `every` s."""

    rate: float
    seconds: float
    every: float
    fixed: bool = False
    """At equal distances, each pod at its own time; otherwise at random (Poisson)."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of release; rates are shares of requests, times are seconds."""

    rps: float = 100.0
    weight: float = 0.1
    stable: float = 0.001
    canary: float | None = None
    """None: as good as stable."""
    onset: float = 0.0
    clump: int = 1
    history: float = 3600.0
    length: float = 7200.0
    shapes: tuple[Shape, ...] = ()
    skew: int = 0
    """Stable is scraped so many seconds late."""
    resets: int = 0
    gaps: int = 0
    pod_spread: float = 0.0
    routes: tuple[float, float, float] | None = None
    """Second route: its bad rate, its share of stable's and of the canary's requests."""
    clean_day: bool = False
    stray: int = 0
    pods: tuple[int, int] | None = None
    """Stable's and the canary's, with hiccups; counts are per pod unless `summed`."""
    hiccups: Hiccups | None = None
    summed: bool = False
    policy: RatioPolicy = field(default_factory=RatioPolicy)


def simulate(scenario: Scenario, interval: int, rng: np.random.Generator) -> Iterator[Interval]:
    """Increments of one release."""
    if scenario.pods:
        return _with_hiccups(scenario, interval, rng)
    if scenario.pod_spread:
        return _with_pods(scenario, interval, rng)
    if scenario.routes:
        return _with_routes(scenario, interval, rng)
    return _plain(scenario, interval, rng)


def _seconds(scenario: Scenario, rng: np.random.Generator) -> Second:
    time = np.arange(-scenario.history, scenario.length)
    one = np.ones_like(time)
    bad = scenario.stable if scenario.canary is None else scenario.canary
    second = Second(
        time=time,
        rps=one * scenario.rps,
        weight=np.where(time >= 0, scenario.weight, 0.0),
        stable=one * scenario.stable,
        canary=np.where(time >= scenario.onset, bad, scenario.stable),
    )
    for shape in scenario.shapes:
        shape(second, rng)
    return second


def bad_requests(total: Array, rate: Array, clump: int, rng: np.random.Generator) -> Array:
    """Bad ones of `total` requests, in clumps of `clump` of one side and second."""
    if clump == 1:
        return rng.binomial(total.astype(np.int64), np.minimum(rate, 1.0)).astype(float)
    drawn = clump * rng.poisson(total * rate / clump).astype(float)
    return np.where(rate >= 1.0, total, np.minimum(drawn, total))


def _counts(
    scenario: Scenario, rng: np.random.Generator
) -> tuple[Second, Array, Array, Array, Array]:
    second = _seconds(scenario, rng)
    canary = rng.poisson(second.rps * second.weight).astype(float)
    stable = rng.poisson(second.rps * (1 - second.weight)).astype(float)
    canary_bad = bad_requests(canary, second.canary, scenario.clump, rng)
    stable_bad = bad_requests(stable, second.stable, scenario.clump, rng)
    if scenario.stray:
        hits = rng.integers(int(scenario.history) + 60, len(canary), scenario.stray)
        canary_bad[hits] = np.minimum(canary_bad[hits] + 1, np.maximum(canary[hits], 1))
        canary[hits] = np.maximum(canary[hits], 1)
    if scenario.skew:
        stable, stable_bad = _late(stable, scenario.skew), _late(stable_bad, scenario.skew)
    return second, canary, canary_bad, stable, stable_bad


def _late(counts: Array, seconds: int) -> Array:
    return np.concatenate([np.zeros(seconds), counts[:-seconds]])


def _sums(counts: Array, interval: int) -> Array:
    size = len(counts) // interval
    sums: Array = counts[: size * interval].reshape(size, interval).sum(axis=1)
    return sums


def _plain(scenario: Scenario, interval: int, rng: np.random.Generator) -> Iterator[Interval]:
    second, *counts = _counts(scenario, rng)
    start = float(second.time[0])
    columns = [_sums(column, interval) for column in counts]
    if scenario.clean_day:
        yield Interval(start - 86400.0, start, 0.0, 0.0, 86400.0 * scenario.rps, 0.0)
    for _ in range(scenario.resets):
        at, side = rng.integers(len(columns[0])), 2 * rng.integers(2)
        kept = rng.random()
        for column in columns[side : side + 2]:
            column[at] = np.floor(column[at] * kept)
    size = len(columns[0])
    gaps = rng.integers(20, size, scenario.gaps).tolist()
    # A sample that comes after a gap has counted all of it.
    ends = [i for i in range(1, size + 1) if not any(i <= end < i + 20 for end in gaps)]
    starts = [0, *ends[:-1]]
    sums = (np.add.reduceat(column, starts).tolist() for column in columns)
    for first, last, a, b, c, d in zip(starts, ends, *sums, strict=True):
        yield Interval(start + first * interval, start + last * interval, a, b, c, d)


def _with_hiccups(
    scenario: Scenario, interval: int, rng: np.random.Generator
) -> Iterator[Interval]:
    """Pods of both versions, each with hiccups of its own.

    Bad and good requests are Poisson by interval, which is the same as second by second.
    """
    assert scenario.pods is not None  # noqa: S101 — the caller looked
    second = _seconds(scenario, rng)
    stable, canary = scenario.pods
    bad = np.empty((stable + canary, len(second.time) // interval))
    good = np.empty_like(bad)
    for pod in range(stable + canary):
        mine = pod >= stable
        rate = (second.canary if mine else second.stable).copy()
        if scenario.hiccups is not None:
            _add_hiccups(rate, scenario.hiccups, rng)
        rps = second.rps * (second.weight / canary if mine else (1 - second.weight) / stable)
        bad[pod] = rng.poisson(_sums(rps * rate, interval))
        good[pod] = rng.poisson(_sums(rps * (1 - rate), interval))
    yield from _intervals_of_pods(scenario, interval, bad + good, bad)


def _add_hiccups(rate: Array, hiccups: Hiccups, rng: np.random.Generator) -> None:
    length = len(rate)
    if hiccups.fixed:
        starts = np.arange(rng.uniform(-hiccups.seconds, hiccups.every), length, hiccups.every)
    else:
        starts = rng.uniform(0, length, rng.poisson(length / hiccups.every))
    for at in starts.tolist():
        part = slice(max(0, round(at)), max(0, round(at + hiccups.seconds)))
        rate[part] = np.maximum(rate[part], hiccups.rate)


def _intervals_of_pods(
    scenario: Scenario, interval: int, total: Array, bad: Array
) -> Iterator[Interval]:
    assert scenario.pods is not None  # noqa: S101 — the caller looked
    stable, canary = scenario.pods
    start = -scenario.history
    sums = [a.sum(axis=0).tolist() for a in (total[stable:], bad[stable:], total[:stable])]
    sums.append(bad[:stable].sum(axis=0).tolist())
    names = [f"stable-{k}" for k in range(stable)] + [f"canary-{k}" for k in range(canary)]
    counts = list(zip(total.T.tolist(), bad.T.tolist(), strict=True))
    for i, (totals, bads) in enumerate(counts):
        at = start + i * interval
        pods: tuple[PodCount, ...] = ()
        if not scenario.summed:
            pods = tuple(map(PodCount, names, totals, bads))
        yield Interval(
            at,
            at + interval,
            sums[0][i],
            sums[1][i],
            sums[2][i],
            sums[3][i],
            pods=pods[:stable],
            canary_pods=pods[stable:] if at >= 0 else (),
        )


def _with_pods(scenario: Scenario, interval: int, rng: np.random.Generator) -> Iterator[Interval]:
    """Nine pods of stable and one of the canary, each with its own rate (log-normal)."""
    sigma = np.sqrt(np.log1p(scenario.pod_spread**2))
    rates = scenario.stable * np.exp(rng.normal(-(sigma**2) / 2, sigma, 10))
    start = -scenario.history
    size = int((scenario.history + scenario.length) // interval)
    times = start + np.arange(size) * interval
    canary = rng.poisson(np.where(times >= 0, scenario.rps * scenario.weight * interval, 0.0))
    bad = rng.binomial(canary, rates[0])
    pods = rng.poisson(scenario.rps * (1 - scenario.weight) / 9 * interval, (size, 9))
    pods_bad = rng.binomial(pods, rates[1:])
    names = [f"stable-{k}" for k in range(9)]
    sums = [counts.astype(float).tolist() for counts in (canary, bad)]
    every = [counts.astype(float).tolist() for counts in (pods, pods_bad)]
    for at, total, x, totals, bads in zip(times.tolist(), *sums, *every, strict=True):
        each = tuple(map(PodCount, names, totals, bads))
        yield Interval(at, at + interval, total, x, sum(totals), sum(bads), pods=each)


def _with_routes(scenario: Scenario, interval: int, rng: np.random.Generator) -> Iterator[Interval]:
    """Two routes of which the canary gets another mix than stable."""
    assert scenario.routes is not None  # noqa: S101 — the caller looked
    rate, of_stable, of_canary = scenario.routes
    size = int((scenario.history + scenario.length) // interval)
    times = -scenario.history + np.arange(size) * interval
    canary = np.where(times >= 0, scenario.rps * scenario.weight * interval, 0.0)
    stable = scenario.rps * (1 - scenario.weight) * interval
    mixes = [("login", scenario.stable, 1 - of_canary, 1 - of_stable)]
    mixes.append(("search", rate, of_canary, of_stable))
    columns = []
    for name, bad, share, stable_share in mixes:
        n, m = rng.poisson(canary * share), rng.poisson(np.full(size, stable * stable_share))
        columns.append((name, n, rng.binomial(n, bad), m, rng.binomial(m, bad)))
    for i, at in enumerate(times.tolist()):
        strata = tuple(
            Stratum(name, float(n[i]), float(x[i]), float(m[i]), float(y[i]))
            for name, n, x, m, y in columns
        )
        yield Interval(
            at,
            at + interval,
            sum(route.canary_total for route in strata),
            sum(route.canary_bad for route in strata),
            sum(route.stable_total for route in strata),
            sum(route.stable_bad for route in strata),
            strata=strata,
        )
