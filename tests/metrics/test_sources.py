"""The contract of metric sources: the judge gets the same numbers from each.

One scripted fleet, scraped by a real Prometheus and by our own scraper at the same time.
"""

import contextlib
from dataclasses import dataclass
from itertools import pairwise

import pytest

from canary.core.increments import Side
from canary.core.rounds import Rounds
from canary.core.sampling import RatioAnswers, find_metric_rounds, sample_ratio
from canary.core.series import FoundSeries, Matcher, MatchOp, NoData, Selector, SeriesQuery
from canary.metrics.prometheus import Prometheus, PrometheusOptions
from canary.metrics.scrape import Scrape
from tests.metrics.live_prometheus import PHASES, LivePrometheus
from tests.metrics.real_prometheus import wait_until

HITS = Selector("logins_total")
TOTAL = SeriesQuery("total", HITS, ("pod",), raw=True)
IS_BAD = (Matcher("code", MatchOp.REGEX, "5.."),)
SUM = SeriesQuery("sum", HITS, ("pod",))
CONNECTIONS = SeriesQuery("connections", Selector("connections"), ("pod",))
NOTHING = SeriesQuery("nothing", Selector("no_such_metric"), ("pod",))
QUERIES = (TOTAL, SUM, CONNECTIONS, NOTHING)
SIDES = {"old": Side.STABLE, "gone": Side.STABLE, "new": Side.CANARY}

EXPECTED = {
    "old": [(102, 2), (21, 1), (70, 0)],
    "gone": [(20, 0), (0, 0), (0, 0)],
    "new": [(10, 0), (50, 20), (41, 40)],
}
EXPECTED_CONNECTIONS = {"old": [5, 5, 5, 6], "gone": [5, 5], "new": [4, 8, 8]}


@dataclass
class Replay:
    """Both sources after all phases, and the settled time at the end of each phase."""

    sources: dict[str, Prometheus | Scrape]
    marks: list[float]


@pytest.fixture(scope="module")
def replay(lab):
    """Goes through the phases; in each, every page is scraped by both before the next begins."""
    real, marks = lab.prometheus, []
    with contextlib.ExitStack() as stack:
        prometheus = Prometheus(PrometheusOptions(real.url, lag=1))
        stack.callback(prometheus.close)
        scrape = stack.enter_context(contextlib.closing(Scrape(lab.fleet, QUERIES)))
        for lab.phase in range(len(PHASES)):
            play(lab, scrape)
            marks.append(float(int(real.now()) + 1))
            wait_until(lambda: real.now() > marks[-1] + 0.05, "the next second")
            scrape.poll(real.now())
        wait_until(lambda: prometheus.final_until(real.now()) >= marks[-1], "settling")
        yield Replay({"prometheus": prometheus, "scrape": scrape}, marks)


def play(lab: LivePrometheus, scrape: Scrape) -> None:
    """One phase, until Prometheus has stored a page of each pod that there is in it."""
    requests = sum(good + bad for good, bad, _, _ in PHASES[lab.phase].values())

    def scraped() -> bool:
        scrape.poll(lab.prometheus.now())
        return lab.prometheus.value("sum(logins_total)") == requests

    wait_until(scraped, f"a scrape of every pod in phase {lab.phase}")


@pytest.fixture(params=["prometheus", "scrape"])
def source(request, replay):
    """Each source in turn, with the times at which the phases ended."""
    return replay.sources[request.param], replay.marks


def test_increments_per_pod_and_phase_are_the_same(source):
    """Resets, a pod that disappears, one that is new, an error series that comes late."""
    reader, marks = source
    answers = reader.read(QUERIES, marks[0] - 60, marks[-1], 1)
    started = {"new": marks[0] + 0.5}
    raw = RatioAnswers("logins_total", answers["total"], "pod", SIDES.get, IS_BAD, started=started)
    rounds = find_metric_rounds([raw], marks[0], marks[-1], 1)
    ticks = sample_ratio(raw, Rounds(marks[0], tuple(sorted({*rounds.ends, *marks[1:]})))).ticks
    assert isinstance(ticks, tuple)
    for pod, phases in EXPECTED.items():
        found = []
        for begin, end in pairwise(marks):
            own = [i for t in ticks if begin < t.end <= end for i in t.increments if i.name == pod]
            found.append((sum(i.total for i in own), sum(i.bad for i in own)))
        assert found == phases, pod


def test_raw_samples_have_the_times_of_their_scrapes(source):
    """Every series of one scrape has the same one, and no grid moves it."""
    reader, marks = source
    answer = reader.read([TOTAL], marks[0], marks[-1], 1)["total"]
    assert isinstance(answer, FoundSeries)
    times: dict[str, set[float]] = {}
    for one in answer.series:
        mine = {time for time, _ in one.points}
        assert mine <= times.setdefault(one.labels["pod"], mine) or mine >= times[one.labels["pod"]]
    assert any(time % 1 for mine in times.values() for time in mine)


def test_gauges_are_the_same_at_the_end_of_each_phase(source):
    """Where a pod is not, there is no value."""
    reader, marks = source
    found: dict[str, list[float]] = {}
    for mark in marks:
        answer = reader.read([CONNECTIONS], mark, mark, 1)["connections"]
        assert isinstance(answer, FoundSeries)
        for series in answer.series:
            found.setdefault(series.labels["pod"], []).append(series.points[0][1])
    assert found == EXPECTED_CONNECTIONS


def test_a_disappeared_pod_has_no_value(source):
    """Stale at once, not for five minutes more."""
    reader, marks = source
    answer = reader.read([SUM], marks[2], marks[3], 1)["sum"]
    assert isinstance(answer, FoundSeries)
    assert {s.labels["pod"] for s in answer.series} == {"old", "new"}


def test_what_is_not_there_is_no_data(source):
    """With a reason."""
    reader, marks = source
    assert isinstance(reader.read([NOTHING], marks[0], marks[1], 1)["nothing"], NoData)
