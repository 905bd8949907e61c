"""Series of two versions, made up."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

from canary.api import Analysis, Metric, RatioSource
from canary.core.increments import Grid
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series
from canary.core.statistics import draw_poisson

METRIC = Metric(name="errors", ratio=RatioSource(preset="http"))
START = 1_000_000.0 - 1_000_000.0 % 15


def build_analysis(**changes: object) -> Analysis:
    """One ratio, judged every 15 s, with a short minimum."""
    return Analysis(metrics=(METRIC,), interval=15.0).model_copy(
        update={"min_duration": 300.0} | changes
    )


def build_counters(
    who: str, grid: Grid, rate: float, *, start: float = 0.0, end: float = 1e12
) -> tuple[Series, Series]:
    """Good and bad requests of `SIDE/POD` at 10 requests/s, as they are scraped."""
    side, _, pod = who.partition("/")
    random, total, bad = Random(pod), 0, 0  # noqa: S311 - simulated requests, no secrets
    good, wrong = [], []
    for time in grid.times():
        if start <= time <= end:
            count = draw_poisson(10 * grid.step, random)
            total, bad = total + count, bad + min(count, draw_poisson(count * rate, random))
            good.append((time, float(total - bad)))
            wrong.append((time, float(bad)))
    labels = {"side": side, "pod": pod, "instance": f"{pod}:80"}
    return (
        Series(labels | {"code": "200"}, tuple(good)),
        Series(labels | {"code": "500"}, tuple(wrong)),
    )


def build_answers(pairs: Iterable[tuple[Series, Series]]) -> Mapping[str, MetricAnswer]:
    """As a source answers the queries of METRIC."""
    found = [one for pair in pairs for one in pair]
    return {f"errors.total.{side}": _of(found, side) for side in ("canary", "stable")}


def _of(found: Sequence[Series], side: str) -> MetricAnswer:
    mine = tuple(one for one in found if one.labels["side"] == side and one.points)
    return FoundSeries(mine) if mine else NoData("none")
