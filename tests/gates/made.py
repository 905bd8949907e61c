"""Series of two versions, made up."""

from collections.abc import Iterable, Mapping
from random import Random

from canary.api import Analysis, Metric, RatioSource
from canary.core.increments import Grid
from canary.core.series import Found, MetricAnswer, Series
from canary.gates.scenario import poisson

METRIC = Metric(name="errors", ratio=RatioSource(preset="http"))
START = 1_000_000.0 - 1_000_000.0 % 15


def analysis(**changes: object) -> Analysis:
    """One ratio, judged every 15 s, with a short minimum."""
    return Analysis(metrics=(METRIC,), interval=15.0).model_copy(
        update={"minimum": 300.0} | changes
    )


def counters(
    who: str, grid: Grid, rate: float, *, start: float = 0.0, end: float = 1e12
) -> tuple[Series, Series]:
    """All and bad requests of `SIDE/POD` at 10 requests/s, as both sides' queries mark them."""
    side, _, pod = who.partition("/")
    random, total, bad = Random(pod), 0, 0  # noqa: S311 - simulated requests, no secrets
    all_, wrong = [], []
    for time in grid.times():
        if start <= time <= end:
            count = poisson(10 * grid.step, random)
            total, bad = total + count, bad + min(count, poisson(count * rate, random))
            all_.append((time, float(total)))
            wrong.append((time, float(bad)))
    labels = {"group": side, "pod": pod, "instance": f"{pod}:80"}
    return Series(labels, tuple(all_)), Series(labels, tuple(wrong))


def answers(pairs: Iterable[tuple[Series, Series]]) -> Mapping[str, MetricAnswer]:
    """As a source answers the queries of METRIC."""
    found = list(pairs)
    return {
        "errors.total": Found(tuple(total for total, _ in found)),
        "errors.bad": Found(tuple(bad for _, bad in found)),
    }
