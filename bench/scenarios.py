"""The rows of the benchmark: what must hold, and the reference's figure beside it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist

import numpy as np

from bench.simulate import Hiccups, Scenario, Second, Shape
from canary.core.evidence import RatioPolicy


@dataclass(frozen=True, slots=True)
class Row:
    """One row; good rows count false rollbacks, bad rows measure delays."""

    name: str
    scenarios: tuple[Scenario, ...]
    asked: tuple[float | None, float | None]
    """Good: at most so many per 1,000. Bad: median seconds at 15 s and 5 s (or 5 s and 1 s)."""
    good: bool
    releases: float = 1.0
    """Share of the releases asked for that this row simulates (per scenario)."""


def burst(rate: float, seconds: float) -> Shape:
    """Both versions fail at `rate` for a while, somewhere in the release."""

    def shape(second: Second, rng: np.random.Generator) -> None:
        at = rng.uniform(60, second.time[-1] - seconds)
        hit = (second.time >= at) & (second.time < at + seconds)
        second.stable[hit] = second.canary[hit] = rate

    return shape


def jump(rate: float, at: float) -> Shape:
    """Both versions fail at `rate` from a moment on."""

    def shape(second: Second, _: np.random.Generator) -> None:
        second.stable[second.time >= at] = second.canary[second.time >= at] = rate

    return shape


def hiccups(rate: float, pods: int) -> Shape:
    """Every ten minutes 20 s of errors on one random pod; the canary is one of them."""

    def shape(second: Second, rng: np.random.Generator) -> None:
        for at in np.arange(second.time[0] + rng.uniform(0, 600), second.time[-1], 600):
            hit = (second.time >= at) & (second.time < at + 20)
            if rng.integers(pods) == 0:
                second.canary[hit] = rate
            else:
                second.stable[hit] += (rate - second.stable[hit]) / (pods - 1)

    return shape


def cold_start(second: Second, _: np.random.Generator) -> None:
    """The canary's first minute at 2 %."""
    second.canary[(second.time >= 0) & (second.time < 60)] = 0.02


def surge(second: Second, rng: np.random.Generator) -> None:
    """Four times the traffic for half an hour."""
    at = rng.uniform(0, 5000)
    second.rps[(second.time >= at) & (second.time < at + 1800)] *= 4


def drift(second: Second, _: np.random.Generator) -> None:
    """Both from 0.1 to 0.5 and back to 0.1 %."""
    way = np.clip(1 - np.abs(second.time / second.time[-1] * 2 - 1), 0, 1)
    second.stable[:] = second.canary[:] = 0.001 + 0.004 * way


def season(second: Second, _: np.random.Generator) -> None:
    """Both swing by 80 % every 15 minutes."""
    second.stable *= 1 + 0.8 * np.sin(second.time / 900 * 2 * np.pi)
    second.canary[:] = second.stable


def steps(second: Second, _: np.random.Generator) -> None:
    """Weight 1, 5, 25, 50 %, five minutes each."""
    weights = np.array([0.01, 0.05, 0.25, 0.5])
    index = np.clip(second.time // 300, 0, 3).astype(int)
    second.weight[:] = np.where(second.time >= 0, weights[index], 0.0)


def _jumps() -> Iterator[Scenario]:
    for rate, rps, weight, clump in product(
        (0.01, 0.05, 0.3, 1.0), (100, 10, 2), (0.1, 0.5), (1, 4)
    ):
        yield Scenario(rps=rps, weight=weight, clump=clump, length=2400, shapes=(jump(rate, 1200),))


_P99, _SIGMA = 0.3, 0.7
_DEFAULT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Of Prometheus's Python client; seconds."""


def slower(above: float, times: float) -> float:
    """Share of requests above the nearest bucket bound when all take `times` as long.

    Response times are log-normal: median 59 ms, p99 300 ms.
    """
    bound = min(_DEFAULT_BOUNDS, key=lambda one: abs(one - above))
    usual = NormalDist(math.log(_P99) - NormalDist().inv_cdf(0.99) * _SIGMA, _SIGMA)
    return 1.0 - usual.cdf(math.log(bound / times))


def _latency(times: float, *, above: float = 0.5) -> Scenario:
    stable, canary = slower(above, 1.0), slower(above, times)
    return Scenario(stable=stable, canary=canary, policy=RatioPolicy(limit=None))


def _good(name: str, *scenarios: Scenario, most: float | None = 10.0, releases: float = 1.0) -> Row:
    return Row(name, scenarios, (most, most), good=True, releases=releases)


_SHORT, _FIXED = Hiccups(0.3, 8, 60), Hiccups(0.3, 8, 60, fixed=True)
_LONG, _OUTAGES = Hiccups(0.3, 20, 600), Hiccups(1.0, 20, 3600)
_OUTLASTING = Hiccups(0.3, 40, 900)


def _pods(pods: tuple[int, int], hiccups: Hiccups) -> Scenario:
    """Half an hour of release at weight 5 %; every pod of both versions has hiccups."""
    return Scenario(pods=pods, hiccups=hiccups, weight=0.05, length=1800.0)


PODS = tuple(
    _good(f"pods {name}", scenario)
    for name, scenario in (
        ("2 + 2, 8 s at 30 % every 60 s", _pods((2, 2), _SHORT)),
        ("2 + 2, the same at fixed times", _pods((2, 2), _FIXED)),
        ("2 + 2, the same, one minute of history", replace(_pods((2, 2), _SHORT), history=60.0)),
        ("2 + 2, the same, only sums known", replace(_pods((2, 2), _SHORT), summed=True)),
        ("3 + 2, 8 s at 30 % every 300 s", _pods((3, 2), replace(_SHORT, every=300.0))),
        (
            "3 + 2, the same, only sums known",
            replace(_pods((3, 2), replace(_SHORT, every=300.0)), summed=True),
        ),
        ("3 + 2, 20 s at 30 % every 600 s", _pods((3, 2), _LONG)),
        ("10 + 2, 8 s at 30 % every 60 s", _pods((10, 2), _SHORT)),
        ("10 + 2, 20 s at 100 % every hour", _pods((10, 2), _OUTAGES)),
        ("10 + 2, 200 rps, 20 s at 30 % every 600 s", replace(_pods((10, 2), _LONG), rps=200.0)),
        ("2 + 2, 40 s at 30 % every 900 s", _pods((2, 2), _OUTLASTING)),
        ("1 + 1, 8 s at 30 % every 60 s", _pods((1, 1), _SHORT)),
        ("20 + 2, 8 s at 30 % every 60 s", _pods((20, 2), _SHORT)),
    )
)
_PLAIN = tuple(row.scenarios[0] for row in PODS if "the same" not in row.name)
_TOLERATED = tuple(s for s in _PLAIN if s.hiccups is not None and s.hiccups.seconds <= 30.0)


def _varied(name: str, scenarios: Iterable[Scenario]) -> Row:
    every = tuple(scenarios)
    return _good(f"pods {name} (worst of {len(every)})", *every, releases=0.3)


def _at_fixed_times(scenario: Scenario) -> Scenario:
    assert scenario.hiccups is not None  # noqa: S101 — all of them have some
    return replace(scenario, hiccups=replace(scenario.hiccups, fixed=True))


VARIED = (
    _varied("as above, weight 1 %", (replace(s, weight=0.01) for s in _PLAIN)),
    _varied("as above, weight 50 %", (replace(s, weight=0.5) for s in _PLAIN)),
    _varied("as above, at fixed times", map(_at_fixed_times, _PLAIN)),
    _varied("as above, only sums known", (replace(s, summed=True) for s in _PLAIN)),
    _varied(
        "as above up to 20 s, one minute of history",
        (replace(s, history=60.0) for s in _TOLERATED),
    ),
    # What outlasts the tolerated incident, and has never been seen of stable, looks like a fault.
    _good(
        "pods 2 + 2, 40 s at 30 % every 900 s, one minute of history (not promised)",
        replace(_pods((2, 2), _OUTLASTING), history=60.0),
        most=None,
    ),
)
GOOD = (
    _good("good", Scenario()),
    _good("good, both at 2 %", Scenario(stable=0.02)),
    _good("good, both at 6 % (above the limit)", Scenario(stable=0.06)),
    _good("good, shared 30 % burst for 2 min", Scenario(shapes=(burst(0.3, 120),))),
    _good(
        "good, both jump to 1–100 % for good (worst of 48)",
        *_jumps(),
        most=20.0,
    ),
    _good("good, 0.2 rps canary", Scenario(rps=2)),
    _good("good, 0.2 rps canary, both at 2 %", Scenario(rps=2, stable=0.02)),
    _good("good, 0.2 rps canary, both at 2 %, no history", Scenario(rps=2, stable=0.02, history=0)),
    _good("good, errors in clumps of 3", Scenario(clump=3)),
    _good("good, errors in clumps of 8 at 2 %", Scenario(stable=0.02, clump=8)),
    _good("good, clumps of 8 at 2 %, no history", Scenario(stable=0.02, clump=8, history=0)),
    _good("good, traffic surge ×4", Scenario(shapes=(surge,))),
    _good("good, counter resets", Scenario(resets=20)),
    _good("good, scrape gaps", Scenario(gaps=8)),
    _good("good, both drifting .1 → .5 → .1 %", Scenario(shapes=(drift,))),
    _good("good, both swing ±80 % every 15 min at 2 %", Scenario(stable=0.02, shapes=(season,))),
    _good("good, 20 s hiccups at 30 % on one pod of ten", Scenario(shapes=(hiccups(0.3, 10),))),
    _good("good, 20 s hiccups at 100 % on one pod of four", Scenario(shapes=(hiccups(1.0, 4),))),
    _good("good, cold start (2 % for 60 s)", Scenario(shapes=(cold_start,))),
    _good(
        "good, 15 s scrape skew with a shared burst", Scenario(skew=15, shapes=(burst(0.3, 120),))
    ),
    _good(
        "good, two stray errors after a clean day", Scenario(stable=0.0, clean_day=True, stray=2)
    ),
    _good("good, pods with cv .4 (counts per pod)", Scenario(pod_spread=0.4)),
    _good("good, endpoint mix differs (counts per route)", Scenario(routes=(0.02, 0.05, 0.15))),
    _good("good, weight 1 → 5 → 25 → 50 %, both at 2 %", Scenario(stable=0.02, shapes=(steps,))),
    _good("good, weight 99 %", Scenario(weight=0.99)),
    _good(
        "canary 1.25 × stable (the edge of what is tolerated), 2 %",
        Scenario(stable=0.02, canary=0.025),
    ),
    _good("good, slow requests (p99 300 ms, above 500 ms)", _latency(1.0)),
    _good("good, slow requests (p99 300 ms, above 300 ms)", _latency(1.0, above=0.3)),
    *PODS,
    *VARIED,
)


def _bad(name: str, asked: tuple[float | None, float | None], scenario: Scenario) -> Row:
    return Row(name, (scenario,), asked, good=False)


BAD = (
    _bad("bad 5 %", (75, 55), Scenario(canary=0.05)),
    _bad("bad 1 %", (120, 135), Scenario(canary=0.01)),
    _bad("bad 0.5 %", (330, 365), Scenario(canary=0.005)),
    _bad("bad 0.3 %", (1100, 1090), Scenario(canary=0.003)),
    _bad("1 % from minute 60 on", (210, 205), Scenario(canary=0.01, onset=3600.0)),
    _bad("2 → 4 % at 50 %", (765, 390), Scenario(stable=0.02, canary=0.04, weight=0.5)),
    _bad("30 %, weight 5 %", (60, 45), Scenario(canary=0.3, weight=0.05)),
    _bad("5 %, 50 rps, weight 5 %", (90, 70), Scenario(canary=0.05, weight=0.05, rps=50)),
    _bad("1 %, 50 rps, weight 5 %", (330, 315), Scenario(canary=0.01, weight=0.05, rps=50)),
    _bad("p99 doubled (above 500 ms)", (None, None), _latency(2.0)),
    _bad("p99 × 1.3 (above 500 ms)", (None, None), _latency(1.3)),
    _bad("p99 doubled (above 300 ms)", (None, None), _latency(2.0, above=0.3)),
    _bad("p99 × 1.3 (above 300 ms)", (None, None), _latency(1.3, above=0.3)),
    _bad(
        "5 %, 50 rps, weight 5 %, one minute of history",
        (None, None),
        Scenario(canary=0.05, weight=0.05, rps=50, history=60.0),
    ),
    _bad(
        "pods 2 + 2, 8 s hiccups every 60 s, 5 % beside them",
        (1080, 1080),
        replace(_pods((2, 2), _SHORT), canary=0.05, length=3600.0),
    ),
    _bad(
        "pods 3 + 2, 8 s hiccups every 300 s, 5 % beside them",
        (1080, 1080),
        replace(_pods((3, 2), replace(_SHORT, every=300.0)), canary=0.05, length=3600.0),
    ),
)

# The reference at 5 s and 1 s, with what its incident budget costs.
_SUDDEN = {
    (0.05, 1.0): (10, 4), (0.05, 0.3): (45, 39), (0.05, 0.05): (70, 61), (0.05, 0.01): (325, 319),
    (0.2, 1.0): (10, 4), (0.2, 0.3): (45, 39), (0.2, 0.05): (55, 45), (0.2, 0.01): (155, 145),
    (0.5, 1.0): (10, 4), (0.5, 0.3): (45, 39), (0.5, 0.05): (55, 43), (0.5, 0.01): (120, 106),
}  # fmt: skip
SUDDEN = tuple(
    Row(
        f"weight {weight:.0%}, {rate:.0%} errors",
        (Scenario(rps=50, weight=weight, canary=rate, length=3600),),
        asked,
        good=False,
    )
    for (weight, rate), asked in _SUDDEN.items()
)
