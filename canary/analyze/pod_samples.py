"""Judges recorded counters of pods: read as raw samples of a Prometheus are."""

from array import array
from collections.abc import Iterator

from canary.analyze.sample_rows import Pod, no_data_assessment
from canary.core.analysis.ratio import build_interval
from canary.core.evidence import Judge, RatioPolicy
from canary.core.evidence.assessment import assess_judge
from canary.core.evidence.policy import Assessment
from canary.core.increments import Side
from canary.core.sampling import RatioAnswers, find_metric_rounds, sample_ratio
from canary.core.series import FoundSeries, Series

_MIN_ROUND = 1.0
"""Seconds of a round; pods are scraped at moments of their own."""


class PodReleases:
    """Per release the samples of each pod: time, all requests, bad ones."""

    def __init__(self, policy: RatioPolicy) -> None:
        self._policy = policy
        self._pods: dict[str, dict[Pod, array[float]]] = {}

    def __iter__(self) -> Iterator[str]:
        """Names, in order of appearance."""
        return iter(self._pods)

    def add(self, name: str, row: tuple[float, ...], pod: Pod | None) -> bool:
        """Takes in a row of cumulative counters; False: its time is not after the pod's last."""
        assert pod is not None  # noqa: S101 - the file's header says so
        known = self._pods.setdefault(name, {}).setdefault(pod, array("d"))
        if known and row[0] <= known[-3]:
            return False
        known.extend(row)
        return True

    def assess(self, name: str) -> Assessment:
        """What is said after all rows; what a pod counted before its first row is not known."""
        pods = self._pods[name]
        start = min(one[0] for one in pods.values())
        end = max(one[-3] for one in pods.values())
        answers = RatioAnswers(
            "total",
            FoundSeries(tuple(_build_series(pod, rows, 1) for pod, rows in pods.items())),
            "pod",
            lambda value: Side(value.partition("/")[0]),
            bad=FoundSeries(tuple(_build_series(pod, rows, 2) for pod, rows in pods.items())),
        )
        ticks = sample_ratio(answers, find_metric_rounds([answers], start, end, _MIN_ROUND)).ticks
        if not isinstance(ticks, tuple):
            return no_data_assessment(self._policy, ticks.why)
        judge = Judge(self._policy)
        for tick in ticks:
            judge.step(build_interval(tick))
        return assess_judge(judge, self._policy)


def _build_series(pod: Pod, rows: "array[float]", column: int) -> Series:
    name = "/".join(pod)
    points = zip(rows[::3], rows[column::3], strict=True)
    return Series({"pod": name, "instance": name}, tuple(points))
