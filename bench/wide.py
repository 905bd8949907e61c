"""What one release costs with many series, or many pools: `python -m bench.wide`.

One look, as the operator has it each time that the metrics were scraped: five minutes of raw
samples at 5 s are read again, and one round of them is new. Printed: seconds of a core for one
look, and bytes of the judge's state in the status; etcd takes about a million and a half.
"""

import argparse
import time
from collections.abc import Callable, Sequence

from canary.api import Analysis, Metric, PoolSource, RatioSource
from canary.api.judge_state import JudgeState, UnreadableState
from canary.core.analysis import AnalysisInput, analyze
from canary.core.increments import Side
from canary.core.sampling import PoolAnswers, RatioAnswers, RawAnswers, build_samples
from canary.core.series import FoundSeries, Matcher, MatchOp, Series

SCRAPE, SPAN, ROUNDS = 5, 300, 120
_RATIO = Metric(name="errors", ratio=RatioSource(preset="http"))
_POOL = Metric(name="pool", pool=PoolSource(preset="hikaricp"))


def _side_of(pod: str) -> Side:
    return Side.CANARY if pod.startswith("canary") else Side.STABLE


def _labels(number: int) -> dict[str, str]:
    """Ten pods, two of them the canary's; the rest are labels of the metric."""
    pod = number % 10
    name = f"{'canary' if pod < 2 else 'stable'}-{pod}"
    return {"pod": name, "instance": f"{name}:80", "pool": f"p{number // 10}", "code": "200"}


def _series(count: int, end: int, slope: float, level: float = 0.0) -> FoundSeries:
    times = range(end - SPAN, end + 1, SCRAPE)
    return FoundSeries(
        tuple(
            Series(_labels(n), tuple((float(t), level + slope * t) for t in times))
            for n in range(count)
        )
    )


def ratio(count: int, end: int) -> RawAnswers:
    """Requests in so many series."""
    bad = Matcher("code", MatchOp.REGEX, "5..")
    return RatioAnswers("hits", _series(count, end, 0.1), "pod", _side_of, (bad,))


def pools(count: int, end: int) -> RawAnswers:
    """So many pools, with everything that HikariCP exports."""
    gauges = [_series(count, end, 0.0, level) for level in (3.0, 10.0, 0.0)]
    counters = [_series(count, end, slope) for slope in (0.0, 2.0)]
    return PoolAnswers(
        gauges[0], gauges[1], ("pod", "pool"), "pod", _side_of,
        waiting=gauges[2], timeouts=counters[0], hold=counters[1],
    )  # fmt: skip


State = JudgeState | UnreadableState


def look(metric: Metric, answers: RawAnswers, end: int, state: State | None) -> State:
    """One look; the state that goes into the status."""
    analysis = Analysis(metrics=(metric,), interval=SCRAPE)
    samples = build_samples({metric.name: answers}, end - SCRAPE, end, SCRAPE)
    given = AnalysisInput(analysis, end, SCRAPE, samples=samples, state=state)
    return analyze(given).state or JudgeState()


def measure(metric: Metric, count: int) -> tuple[float, int]:
    """Seconds of a core for the last look of ten minutes, and bytes of the state."""
    make: Callable[[int, int], RawAnswers] = ratio if metric.ratio else pools
    state: State | None = None
    spent = 0.0
    for number in range(1, 1 + ROUNDS):
        end = SPAN + number * SCRAPE
        answers = make(count, end)
        began = time.process_time()
        state = look(metric, answers, end, state)
        spent = time.process_time() - began
    assert isinstance(state, JudgeState)  # noqa: S101 - it was never written down
    return spent, len(state.model_dump_json(by_alias=True, exclude_none=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one line per size."""
    parser = argparse.ArgumentParser(prog="python -m bench.wide", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000])
    counts = parser.parse_args(arguments).counts
    for metric, what in ((_RATIO, "series"), (_POOL, "pools")):
        for count in counts:
            seconds, size = measure(metric, count)
            print(f"{count:>6,} {what:<7} {seconds * 1000:>8.1f} ms a look, {size:>10,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
