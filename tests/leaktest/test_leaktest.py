"""A leak test against a server: load and drain by turns, and each way in which it can end."""

import threading
from contextlib import closing
from dataclasses import replace

import pytest

from canary.core.series import NoData
from canary.errors import ExitCode, TransientError, UsageError
from canary.leaktest.evaluation import LeakTestPolicy, Reading
from canary.leaktest.load_plan import plan_cycle
from canary.leaktest.metrics_reader import MetricsPageReader, name_page
from canary.leaktest.run import run_leak_test
from canary.leaktest.types import LeakTestTiming, SubjectUnderTest
from canary.loadtest.generator import (
    LoadPlan,
    LoadSchedule,
    LoadStage,
    RequestData,
    RequestMix,
    RequestTemplate,
    parse_template,
)
from tests.leaktest.leaky_service import POOL, LeakyService, serve_leaky

NOW = 2000.0
POLICY = LeakTestPolicy(
    smallest=20,
    idle=5,
    min_load=0.05,
    min_offered_ratio=0.0,  # a busy machine sends late
)
PACE = LeakTestTiming(most=30, drain=0.06, patience=0.1, warm_up=0.02, reading_interval=0.02)


def run_on(leaky, *, stable=None, pace=PACE, stop=None, show=lambda _: None):
    """The outcome."""

    def subject(one):
        plan = LoadPlan(one.url, LoadSchedule((LoadStage(400, 400, 10),)), timeout=5)
        return SubjectUnderTest(plan, MetricsPageReader([f"{one.url}/metrics"], None))

    both = [subject(one) for one in (leaky, stable) if one is not None]
    canary, beside = both[0], both[1] if stable else None
    with closing(both[0].source), closing(both[-1].source):
        return run_leak_test(
            canary, beside, POLICY, pace, now=NOW, stop=stop or threading.Event(), show=show
        )


def test_a_leak_is_found_and_counted():
    """Exit code 3, long before the time is over, with about as many requests as it takes."""
    with serve_leaky(LeakyService(leak_every=10)) as leaky:
        told = run_on(leaky)
    assert told.code is ExitCode.FAILED
    assert told.headline.startswith("leaks 1 connection per ")
    assert f"a pool of {POOL} is empty after" in told.headline
    assert told.facts["requestsPerLeak"] == pytest.approx(10, rel=0.3)


def test_a_sound_version_passes_as_soon_as_it_may():
    """Exit code 0; no more requests than rule the smallest leak out."""
    phases = set()
    with serve_leaky(LeakyService()) as leaky:
        told = run_on(leaky, show=lambda sight: phases.add(sight.phase))
    assert told.code is ExitCode.OK
    assert [case.name for case in told.cases] == [
        *("connections", "generator", "requests"),
        *("waiting", "timeouts", "file descriptors", "memory"),
    ]
    assert 103 <= leaky.asked <= 250
    assert {"warm-up", "at rest", "load", "drain"} - phases <= {"warm-up", "load"}


def test_what_both_versions_do_is_no_leak_of_the_candidate():
    """The same rise on both sides: passed, and said."""
    with (
        serve_leaky(LeakyService(leak_every=25)) as leaky,
        serve_leaky(LeakyService(leak_every=25)) as stable,
    ):
        told = run_on(leaky, stable=stable)
    assert told.code is ExitCode.OK
    assert told.cases[-1].name == "stable"


def test_a_leak_of_files_is_found():
    """Connections come back, sockets do not: it does not pass before that is sure."""
    with serve_leaky(LeakyService(leak_files=4)) as leaky:
        told = run_on(leaky)
    assert told.code is ExitCode.FAILED
    assert told.headline.startswith("leaks 1 file descriptor per 4 requests")


def test_a_candidate_that_dies_fails():
    """After it was there: its fault. Never there: nobody's verdict, an error."""

    def show(sight):
        if len(sight.rounds) == POLICY.idle + 2 and not leaky.dead:
            leaky.die()

    with serve_leaky(LeakyService()) as leaky:
        told = run_on(leaky, show=show)
    assert told.code is ExitCode.FAILED
    assert "the candidate died: cannot connect to 127.0.0.1" in told.headline
    with pytest.raises(TransientError, match="cannot connect"):
        run_on(leaky)


def test_a_page_that_is_gone_is_inconclusive():
    """The candidate is there, and what it holds cannot be seen any more."""

    def page(one):
        return LeakyService.shown(replace_page(one)) if one.asked < 30 else (500, b"")

    with serve_leaky(LeakyService(page=page)) as leaky:
        told = run_on(leaky)
    assert told.code is ExitCode.INCONCLUSIVE
    assert "cannot be read: HTTP 500" in told.cases[0].sentence


def replace_page(one):
    """The same version, with the page that it shows by itself."""
    return replace(one, page=None, lock=threading.Lock())


def test_a_candidate_that_starts_again_fails():
    """A leak that ends in a restart is not cured by it."""

    def page(one):
        return LeakyService.shown(
            replace(replace_page(one), started=1000.0 if one.asked < 30 else 2050.0)
        )

    with serve_leaky(LeakyService(page=page)) as leaky:
        told = run_on(leaky)
    assert told.code is ExitCode.FAILED
    assert "restarted during the test" in told.headline


def test_pages_of_several_processes_are_not_mixed_up():
    """A Service in front of two pods shows now one, now the other."""
    turns = iter(range(1000))

    def page(one):
        return LeakyService.shown(replace(replace_page(one), started=1000.0 + next(turns) % 2))

    with serve_leaky(LeakyService(page=page)) as leaky:
        told = run_on(leaky)
    assert told.code is ExitCode.INCONCLUSIVE
    assert "set --metrics-url once for each process" in told.cases[0].sentence


def test_a_candidate_that_does_not_recover_fails():
    """Whatever its gauges say: it served at first, and rested it still does not."""

    class Tired(LeakyService):
        def take(self):
            super().take()
            return 503 if self.asked > 60 else 200

    with serve_leaky(Tired()) as leaky:
        told = run_on(leaky)
    assert told.code is ExitCode.FAILED
    assert "does not recover" in told.headline
    assert "503 ×10" in told.headline


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(b"up 1\n", "no metrics of a known connection pool", id="no pool"),
        pytest.param(b"\x00\xff\xfe" * 9, "UTF-8 text", id="binary"),
        pytest.param(b"a 1\n" * (5 << 20), "larger than", id="20 MB"),
        pytest.param(b"<html>hello</html>\n", "line 1 is not a sample", id="a web page"),
    ],
)
def test_a_page_without_a_pool_is_inconclusive(body, why):
    """Exit code 6 after the warm-up, with what was found and what to do."""
    with serve_leaky(LeakyService(page=lambda _: (200, body))) as leaky:
        told = run_on(leaky)
    assert told.code is ExitCode.INCONCLUSIVE
    assert why in told.cases[0].sentence
    assert leaky.asked < 20


def test_an_interrupted_test_says_so():
    """Exit code 130."""
    stop = threading.Event()
    with serve_leaky(LeakyService()) as leaky:
        told = run_on(leaky, stop=stop, show=lambda sight: sight.rounds and stop.set())
    assert told.code is ExitCode.INTERRUPTED


def test_no_number_is_given_twice():
    """The requests of a cycle count on, so that names which must be new are."""
    mix = RequestMix((RequestTemplate("a", path=parse_template("/{{ number }}")),), RequestData())
    plan = LoadPlan("http://localhost", LoadSchedule((LoadStage(9, 9, 9),)), mix)
    later = plan_cycle(plan, 50, 5, 100)
    draw = later.mix.draw("x")
    assert [draw(number).path for number in range(3)] == ["/100", "/101", "/102"]
    assert len(list(later.schedule.arrivals())) == 5


PAGES = {
    "hikaricp": "hikaricp_connections_active 3\nhikaricp_connections_max 10\n",
    "go-sql": 'go_sql_in_use_connections{db_name="a"} 3\ngo_sql_max_open_connections{db_name="a"} 10\n',
    "psycopg-pool": "pool_size 5\npool_available 2\npool_max 10\nrequests_errors 7\n",
    "rails": 'active_record_connection_pool_busy{pool_name="a"} 3\n'
    'active_record_connection_pool_size{pool_name="a"} 10\n',
    "node-postgres": "pg_pool_active_connections 3\npg_pool_max 10\n",
}


@pytest.mark.parametrize("preset", [None, "given"], ids=["recognised", "named"])
@pytest.mark.parametrize("name", PAGES)
def test_presets_are_read_and_recognised(name, preset):
    """Three of ten in use, whatever they are called."""
    with (
        serve_leaky(LeakyService(page=lambda _: (200, PAGES[name].encode()))) as leaky,
        closing(MetricsPageReader([f"{leaky.url}/metrics"], preset and name)) as pages,
    ):
        reading = pages.read()
    assert isinstance(reading, Reading)
    assert list(reading.in_use.values()) == [3]
    assert reading.maximum == dict.fromkeys(reading.in_use, 10)


def two_pools(full: float) -> str:
    """A page of node-postgres with two pools: `full` of 10, and 0 of 90."""
    rows = {"active_connections": (full, 0), "max": (10, 90), "waiting_connections": (7, 0)}
    return "".join(
        f'pg_pool_{name}{{pool="{pool}"}} {value}\n'
        for name, values in rows.items()
        for pool, value in zip(("rw", "ro"), values, strict=True)
    )


def test_q01_pools_of_one_page_that_differ_in_any_label_are_pools_of_their_own():
    """A full one of 10 beside an idle one of 90 is not 10 of 100."""
    with (
        serve_leaky(LeakyService(page=lambda _: (200, two_pools(10).encode()))) as leaky,
        closing(MetricsPageReader([f"{leaky.url}/metrics"], None)) as pages,
    ):
        reading = pages.read()
    assert isinstance(reading, Reading)
    assert sorted(reading.in_use.values()) == [0, 10]
    assert {reading.in_use[name]: most for name, most in reading.maximum.items()} == {10: 10, 0: 90}
    assert reading.waiting == 7


def test_q03_a_page_whose_gauges_are_nan_says_so():
    """Nothing is known of that pool."""
    with (
        serve_leaky(LeakyService(page=lambda _: (200, two_pools(float("nan")).encode()))) as leaky,
        closing(MetricsPageReader([f"{leaky.url}/metrics"], None)) as pages,
    ):
        reading = pages.read()
    assert isinstance(reading, NoData)
    assert "NaN or infinite" in reading.why


def test_several_pages_are_all_or_nothing():
    """A page that is gone must not look like connections given back."""
    with (
        serve_leaky(LeakyService(lost=2)) as one,
        serve_leaky(LeakyService(lost=3)) as two,
        closing(
            MetricsPageReader([f"{one.url}/metrics", f"{two.url}/metrics"], "hikaricp")
        ) as pages,
    ):
        first = pages.read()
        two.page = lambda _: (404, b"")
        second = pages.read()
    assert isinstance(first, Reading)
    assert sum(first.in_use.values()) == 5
    assert isinstance(second, NoData)
    assert "HTTP 404" in second.why


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(
            lambda: MetricsPageReader(["http://a"], "hikari"), "did you mean 'hikaricp'", id="typo"
        ),
        pytest.param(
            lambda: MetricsPageReader(["http://a"], "postgres"), "--application-name", id="no name"
        ),
        pytest.param(
            lambda: MetricsPageReader(["http://a"], "sqlalchemy"), "needs `max`", id="no size"
        ),
        pytest.param(lambda: name_page("ftp://a/metrics"), "found 'ftp://a", id="no page"),
        pytest.param(lambda: name_page("http://a:b/metrics"), "expected a URL", id="no port"),
    ],
)
def test_what_cannot_be_read_is_refused(make, said):
    """Before anything is sent."""
    with pytest.raises(UsageError, match=said):
        make()
