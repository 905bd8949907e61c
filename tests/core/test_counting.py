"""What is counted of raw samples: ways of exposing counters that have misled a judge."""

import random
from dataclasses import replace

import pytest

from canary.core.increments import Side
from canary.core.rounds import Rounds, find_rounds
from canary.core.sampling import MAX_POOLS, PoolAnswers, RatioAnswers, build_samples, sample_ratio
from canary.core.series import FoundSeries, Matcher, MatchOp, NoData, Selector, Series

SIDES = {"old": Side.STABLE, "new": Side.CANARY}
CODE = Matcher("code", MatchOp.REGEX, "5..|5xx")


def line(pod: str, points: list[tuple[float, float]], **labels: str) -> Series:
    """One series of a pod."""
    return Series({"pod": pod, "instance": f"{pod}:80", "code": "200"} | labels, tuple(points))


def steps(rate: float, offset: float = 0.0, count: int = 40) -> list[tuple[float, float]]:
    """A counter that is scraped every five seconds."""
    return [(5.0 * i + offset, rate * (5.0 * i + offset)) for i in range(count)]


def judged(answers: RatioAnswers, end: float = 200.0) -> tuple[float, float] | str:
    """(canary's, stable's) requests after the first ten seconds, or why there are none."""
    ticks = build_samples({"errors": answers}, 10.0, end, 1.0).by_metric["errors"].ticks
    if isinstance(ticks, NoData):
        return ticks.why
    return sum(t.total(Side.CANARY) for t in ticks), sum(t.total(Side.STABLE) for t in ticks)


def errors(*series: Series, **more: object) -> RatioAnswers:
    """A ratio whose bad requests are told by their status."""
    given = {"matchers": (CODE,)} | more
    return RatioAnswers("hits", FoundSeries(series), "pod", SIDES.get, **given)  # type: ignore[arg-type]


def test_p01_a_good_counter_that_does_not_exist_is_no_data():
    """Not "nothing is bad", and not "everything is"."""
    said = judged(errors(line("new", steps(1)), matchers=(), good=NoData("no series")))
    assert isinstance(said, str)
    assert "counter of good ones has no series" in said


def test_p01_a_bad_counter_that_nobody_knows_is_no_data():
    """One that others have, with these labels, has merely not appeared yet."""
    seen = line("new", steps(1))
    selector = Selector("hits_failed", (Matcher("kind", MatchOp.EQUAL, "timeout"),))
    bad = {"matchers": (), "bad": NoData("none"), "bad_is": selector}
    unknown = judged(errors(seen, **bad, known=NoData("none")))
    other = judged(errors(seen, **bad, known=FoundSeries((Series({}, ((0.0, 1.0),)),))))
    there = FoundSeries((Series({"kind": "refused"}, ((0.0, 1.0),)),))
    assert "no series hits_failed at all" in str(unknown)
    assert "has the label 'kind'" in str(other)
    assert judged(errors(seen, **bad, known=there)) == (185.0, 0)


def test_no_value_of_another_namespaces_label_is_repeated():
    """Whether the counter exists is asked across namespaces: that it has no codes is enough."""
    selector = Selector("hits_failed", (Matcher("customer", MatchOp.REGEX, "5.."),))
    theirs = FoundSeries((Series({"customer": "acme"}, ((0.0, 1.0),)),))
    bad = {"matchers": (), "bad": NoData("none"), "bad_is": selector, "known": theirs}
    said = judged(errors(line("new", steps(1)), **bad))
    assert "has no status codes" in str(said)
    assert "acme" not in str(said)


def test_p03_a_status_in_words_is_no_data():
    """No request of these would ever count as bad."""
    words = [line("new", steps(1), code=word) for word in ("OK", "Internal Server Error")]
    assert "has no status codes such as 500 or 5xx" in str(judged(errors(*words)))
    assert judged(errors(line("new", steps(1), code="2xx"))) == (185.0, 0)


def test_p03_a_label_that_no_series_has_is_no_data():
    """The label by which bad requests are told is missing."""
    bare = Series({"pod": "new", "instance": "a"}, tuple(steps(1)))
    assert "has the label 'code'" in str(judged(errors(bare)))


def test_p03_a_canary_that_names_its_status_otherwise_is_no_data():
    """Stable has the label, so it is not missing everywhere; the canary would never fail."""
    other = Series({"pod": "new", "instance": "a", "status": "500"}, tuple(steps(1)))
    said = str(judged(errors(line("old", steps(1)), other)))
    assert said.startswith("canary: no series of hits has the label 'code'")
    assert "the label 'status' has status codes" in said


@pytest.mark.parametrize("part", ["total", "bad", "good"])
@pytest.mark.parametrize("pod", ["old", "new"])
def test_q03_a_counter_that_is_nan_on_either_side_is_no_data(part: str, pod: str):
    """What it counts would be missing; somebody else's is none of our business."""
    seen = (line("old", steps(1)), line("new", steps(1)))

    def said(name: str) -> str:
        answer = FoundSeries(seen, ({"pod": name},))
        given = {"matchers": ()} if part != "total" else {}
        more = {part: answer} if part != "total" else {}
        answers = replace(errors(*seen, **given, **more), **({part: answer}))
        return str(judged(answers))

    assert f"of {pod} is NaN" in said(pod)
    assert "NaN" not in said("other")


@pytest.mark.parametrize(("pod", "known"), [("new", False), ("old", True)])
def test_q03_a_pool_of_the_canary_that_is_nan_is_no_data(pod: str, *, known: bool):
    """It may be the one that leaks; a pool of stable's may not be."""
    seen = tuple(Series({"pod": name}, tuple(steps(0))) for name in ("old", "new"))
    in_use = FoundSeries(seen, ({"pod": pod},))
    answers = PoolAnswers(in_use, 10.0, ("pod",), "pod", SIDES.get)
    found = build_samples({"pool": answers}, 10.0, 100.0, 1.0).by_metric["pool"].in_use
    assert isinstance(found, FoundSeries) is known
    assert known or "pool gauge of new is NaN" in found.why


@pytest.mark.parametrize(("count", "judged"), [(MAX_POOLS, True), (MAX_POOLS + 1, False)])
def test_more_pools_than_can_be_judged_are_no_data(count: int, *, judged: bool):
    """A label with a value for each connection would make a pool of each."""
    points = ((10.0, 1.0), (20.0, 1.0))
    every = tuple(Series({"pod": "new", "connection": str(n)}, points) for n in range(count))
    answers = PoolAnswers(FoundSeries(every), 10.0, ("pod",), "pod", SIDES.get)
    found = build_samples({"pool": answers}, 10.0, 100.0, 1.0).by_metric["pool"].in_use
    assert isinstance(found, FoundSeries) is judged
    assert judged or "found 1,001 pools, but at most 1,000 can be analyzed" in found.why


@pytest.mark.parametrize(
    ("label", "right"),
    [("le", "hits counts requests of new, but its histogram has no buckets"), ("outcome", "")],
)
def test_p01_a_pod_without_the_buckets_that_others_have_is_no_data(label: str, right: str):
    """Its requests would all look slow; a counter of successes may really have none."""
    seen = (line("old", steps(1)), line("new", steps(1)))
    good = FoundSeries((Series({"pod": "old", "instance": "old:80", label: "1"}, tuple(steps(1))),))
    said = judged(errors(*seen, matchers=(), good=good))
    assert right in said if isinstance(said, str) else not right


def test_p01_a_bound_that_is_spelled_in_two_ways_is_one_series():
    """With Prometheus 3 le="1" becomes le="1.0"; nobody was slow at that moment."""
    steady = steps(1)
    before, after = tuple(steady[:20]), tuple(steady[20:])
    halves = (("1", before), ("1.0", after))
    good = [Series({"pod": "new", "instance": "new:80", "le": le}, half) for le, half in halves]
    total = line("new", steady)
    answers = errors(total, matchers=(), good=FoundSeries(tuple(good)))
    ticks = build_samples({"errors": answers}, 10.0, 200.0, 1.0).by_metric["errors"].ticks
    assert sum(tick.bad(Side.CANARY) for tick in ticks) == 0


def test_p04_workers_behind_one_address_are_no_data():
    """Each scrape answers for one of four; whatever is counted before that is known is little."""
    chance = random.Random(4)  # noqa: S311 - no secrets
    ages = (0, 700, 2500, 9000)
    jumps = [(t, v + chance.choice(ages)) for t, v in steps(10)]
    assert "decreases repeatedly" in str(judged(errors(line("old", jumps), line("new", steps(1)))))
    early = judged(errors(line("old", jumps[:5])), end=25.0)
    assert isinstance(early, str) or early[1] <= 10 * 25 + max(ages)


def test_p04_one_worker_that_restarts_is_counted():
    """A fall to about zero is a restart, and counts what has come since."""
    fell = [(t, v if t < 100 else v - 1000 + 5) for t, v in steps(10)]
    assert judged(errors(line("old", fell))) == (0, 10 * 185 + 5 - 50 + 0)


@pytest.mark.parametrize("offset", [0.0, 2.5], ids=["at the same moment", "in between"])
def test_p05_a_second_monitor_counts_once_and_may_go(offset: float):
    """Figures are those of one scrape, before and after the second monitor has gone."""
    first = line("old", [(t, v + 50_000) for t, v in steps(10)], job="podmonitor")
    gone = [(t, v + 50_000) for t, v in steps(10, offset, 20)]
    second = line("old", gone, job="servicemonitor", service="auth")
    said = judged(errors(first, second))
    assert isinstance(said, tuple)
    assert said[1] == pytest.approx(10 * 185, abs=30)


def test_two_processes_of_one_pod_are_both_counted():
    """8080 and 9090: put together they would fall at every scrape."""
    one = line("old", steps(10))
    other = line("old", [(t, v + 500) for t, v in steps(4, 2.0)], instance="old:9090")
    said = judged(errors(one, other))
    assert isinstance(said, tuple)
    assert said[1] == pytest.approx(14 * 185, rel=0.05)


def test_an_error_series_that_appears_counts_from_zero():
    """The pod was scraped before without it."""
    first = [(100.0, 7.0), (105.0, 9.0)]
    seen = errors(line("new", steps(1)), line("new", first, code="500"))
    found = sample_ratio(seen, Rounds(10.0, (200.0,))).ticks
    assert isinstance(found, tuple)
    assert found[0].bad(Side.CANARY) == 9


def test_rounds_end_when_every_target_of_the_canary_was_scraped():
    """No empty rounds, and none shorter than the interval."""
    times = {"a": [1.2, 6.2, 11.2, 16.2], "b": [3.7, 8.7, 13.7]}
    ends = find_rounds(times, 4.0, 17.0, 1.0).ends
    assert ends == (8.7, 13.7)
    assert find_rounds(times, 4.0, 17.0, 10.0).ends == (13.7,)


def test_a_target_that_is_gone_holds_up_one_round_at_most():
    """The others go on."""
    times = {"a": [1.2, 6.2, 11.2, 16.2, 21.2], "gone": [3.7]}
    assert find_rounds(times, 4.0, 22.0, 1.0).ends == (6.2, 11.2, 16.2, 21.2)


def test_requests_at_a_router_do_not_wait_for_the_scrapes_of_pools() -> None:
    """The router is scraped at 5, 10, …, the pods at 8, 13, …: a round ends with the router's."""
    sides = {"auth": Side.STABLE, "auth-canary": Side.CANARY}

    def at(labels: dict[str, str], first: float) -> Series:
        return Series(labels, tuple((first + 5 * i, float(i)) for i in range(5)))

    router = [at({"service": name, "instance": "router"}, 5) for name in sides]
    pods = [at({"pod": "auth-canary", "instance": "pod"}, 8)]
    requests = RatioAnswers("hits", FoundSeries(tuple(router)), "service", sides.get)
    pool = PoolAnswers(FoundSeries(tuple(pods)), 10.0, ("pod",), "pod", sides.get)
    found = build_samples({"errors": requests, "pool": pool}, 5.0, 30.0, 1.0)
    assert found.rounds.ends == (10.0, 15.0, 20.0, 25.0)
    alone = build_samples({"pool": pool}, 5.0, 30.0, 1.0)
    assert alone.rounds.ends == (8.0, 13.0, 18.0, 23.0, 28.0)


def test_a_router_that_forgets_the_canary_ends_rounds_all_the_same() -> None:
    """Otherwise nobody would ever see that the last request to the canary is over."""
    sides = {"auth": Side.STABLE, "auth-canary": Side.CANARY}

    def at(service: str, count: int) -> Series:
        labels = {"service": service, "instance": "router"}
        return Series(labels, tuple((5.0 + 5 * i, float(i)) for i in range(count)))

    raw = RatioAnswers(
        "hits", FoundSeries((at("auth", 6), at("auth-canary", 3))), "service", sides.get
    )
    assert build_samples({"errors": raw}, 5.0, 40.0, 1.0).rounds.ends == (
        10.0,
        15.0,
        20.0,
        25.0,
        30.0,
    )
