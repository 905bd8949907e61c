"""What is told of pools: leaks, shares, whose they are; on a source that is a table."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan

import pytest

from canary.core.increments import Grid
from canary.core.series import (
    NOT_NUMBERS,
    FoundSeries,
    MetricAnswer,
    NoData,
    Series,
    SeriesQuery,
    Unavailable,
)
from canary.errors import TransientError
from canary.pools.reader import read_pools
from canary.render.pools import PoolSnapshot

NOW = 100_000.0
Values = Callable[[float], float]
AUTH = {"namespace": "prod", "pod": "auth-canary-5b7d4f-k8w2q", "pool": "main"}


class Table:
    """A MetricSource of one series per metric; values by seconds before now."""

    def __init__(self, labels: Mapping[str, str], metrics: Mapping[str, Values], age: float = 1e9):
        self._labels, self._metrics, self._age = labels, metrics, age

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        """As in MetricSource."""
        times = [t for t in Grid(start, end, step).times() if NOW - t <= self._age]
        return {query.key: self._answer(query, times) for query in queries}

    def final_until(self, now: float) -> float:
        """As in MetricSource."""
        return now

    def _answer(self, query: SeriesQuery, times: Sequence[float]) -> MetricAnswer:
        if query.key == "names":
            points = tuple((t, 1.0) for t in times)
            return FoundSeries(tuple(Series({"metric": name}, points) for name in self._metrics))
        value = self._metrics.get(query.selector.metric)
        if value is None or not times:
            return NoData("nothing there")
        points = tuple((t, value(NOW - t)) for t in times)
        wanted = self._labels if query.raw else query.by
        labels = {name: self._labels[name] for name in wanted if name in self._labels}
        return FoundSeries((Series(labels, points),))


class Broken(Table):
    """Prometheus is away."""

    def _answer(self, *_: object) -> MetricAnswer:
        return Unavailable("connection refused")


def hikari(active: Values, held: Values, maximum: float = 50) -> dict[str, Values]:
    """HikariCP's metrics."""
    return {
        "hikaricp_connections_active": active,
        "hikaricp_connections_max": lambda _: maximum,
        "hikaricp_connections_usage_seconds_sum": held,
    }


def one(
    metrics: Mapping[str, Values], labels: Mapping[str, str] = AUTH, age: float = 1e9
) -> PoolSnapshot:
    """The only pool that is found."""
    (found,) = read_pools(Table(labels, metrics, age), NOW)
    return found


def test_a_leak_is_told_with_the_time_that_is_left() -> None:
    """Five are at work, 0.03 per second are lost: 27 are free, which is 15 minutes."""
    pool = one(hikari(lambda ago: 23 - 0.03 * ago, lambda ago: 5000 - 5 * ago))
    assert pool.held == pytest.approx(9, abs=0.5)
    assert pool.empty_in == pytest.approx(900, rel=0.05)
    assert (pool.service, pool.version, pool.preset) == ("auth", "canary", "hikaricp")


def test_a_surge_is_no_leak() -> None:
    """Six times as many in use for five minutes, and all of them come back."""
    surge = hikari(
        lambda ago: 30.0 if ago < 300 else 5.0,
        lambda ago: 100_000 - (30 * ago if ago < 300 else 9000 + 5 * (ago - 300)),
    )
    pool = one(surge)
    assert pool.held == pytest.approx(0, abs=1.5)
    assert pool.empty_in is None


def test_connections_that_are_held_for_good_have_no_end() -> None:
    """Eight are kept, such as for LISTEN, and no more become of them."""
    pool = one(hikari(lambda _: 10.0, lambda ago: 5000 - 2 * ago))
    assert pool.held == pytest.approx(8)
    assert pool.empty_in is None


def test_of_a_pool_that_is_two_minutes_old_nothing_is_said_about_leaks() -> None:
    """Its connections have not had the time to come back."""
    pool = one(hikari(lambda _: 10.0, lambda ago: 5000 - 2 * ago), age=120)
    assert (pool.in_use, pool.held, pool.empty_in) == (10, None, None)


def test_a_pool_that_is_gone_is_not_shown() -> None:
    """Its last scrape was two minutes ago: Prometheus ends such a series."""

    class Gone(Table):
        def _answer(self, query, times):
            past = [t for t in times if NOW - t > 100]
            return super()._answer(query, times if query.key == "names" else past)

    assert read_pools(Gone(AUTH, hikari(lambda _: 10.0, lambda ago: 5000 - ago)), NOW) == ()


def test_without_a_maximum_there_is_no_share() -> None:
    """SQLAlchemy exports none; 0 means unlimited with database/sql."""
    sqlalchemy = one(
        {"db_client_connections_usage": lambda _: 7.0}, {"pod": "a-0", "pool_name": "x"}
    )
    go = one(
        {"go_sql_in_use_connections": lambda _: 7.0, "go_sql_max_open_connections": lambda _: 0.0},
        {"pod": "a-0", "db_name": "x"},
    )
    assert [(pool.in_use, pool.maximum, pool.share, pool.pool) for pool in (sqlalchemy, go)] == [
        (7, None, None, "x"),
        (7, None, None, "x"),
    ]


def test_idle_connections_are_not_in_use() -> None:
    """Psycopg tells size and available ones."""
    pool = one(
        {
            "pool_size": lambda _: 9.0,
            "pool_available": lambda _: 2.0,
            "pool_max": lambda _: 10.0,
            "requests_waiting": lambda _: 3.0,
        },
        {"namespace": "prod", "pod": "auth-0"},
    )
    assert (pool.in_use, pool.maximum, pool.waiting, pool.share) == (7, 10, 3, 0.7)


def test_clients_of_a_postgres_share_its_maximum() -> None:
    """The server tells who is connected, and one limit for all."""
    pool = one(
        {"pg_stat_activity_count": lambda _: 60.0, "pg_settings_max_connections": lambda _: 100.0},
        {"instance": "10.0.0.7:9187", "application_name": "auth-canary"},
    )
    assert (pool.service, pool.version, pool.pod) == ("auth", "canary", "10.0.0.7:9187")
    assert pool.share == 0.6


def test_where_prometheus_is_away_that_is_an_error_and_not_an_empty_list() -> None:
    """Nothing found and nothing known are different things."""
    with pytest.raises(TransientError, match="connection refused"):
        read_pools(Broken(AUTH, {}), NOW)


class Pools(Table):
    """Several series per metric: labels and value."""

    def __init__(self, rows: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]):
        super().__init__({}, {name: lambda _: 0.0 for name in rows})
        self._rows = rows

    def _answer(self, query: SeriesQuery, times: Sequence[float]) -> MetricAnswer:
        if query.key == "names":
            return super()._answer(query, times)
        groups: dict[tuple[tuple[str, str], ...], float] = {}
        for labels, value in self._rows.get(query.selector.metric, ()):
            kept = {k: v for k, v in labels.items() if query.raw or k in query.by}
            groups[tuple(sorted(kept.items()))] = value
        series = {key: value for key, value in groups.items() if not (query.raw and isnan(value))}
        found = [Series(dict(key), tuple((t, v) for t in times)) for key, v in series.items()]
        odd = tuple(dict(key) for key in groups if key not in series)
        if odd and not found:
            return NoData(NOT_NUMBERS, partial=True)
        return FoundSeries(tuple(found), odd) if found else NoData("nothing there")


WEB = {"namespace": "prod", "pod": "web-5d4f6c7b89-bcdxz", "instance": "10.0.0.7:8080"}


def two_pools(label: str, names: tuple[str, str]) -> Pools:
    """Of one pod, as node-postgres and psycopg export them: 10 of 10 with 7 waiting, 0 of 90."""
    full, idle = (WEB | {label: name} for name in names)
    return Pools(
        {
            "pg_pool_active_connections": [(full, 10), (idle, 0)],
            "pg_pool_max": [(full, 10), (idle, 90)],
            "pg_pool_waiting_connections": [(full, 7), (idle, 0)],
            "pool_size": [(full, 10), (idle, 90)],
            "pool_available": [(full, 0), (idle, 90)],
            "pool_max": [(full, 10), (idle, 90)],
            "requests_waiting": [(full, 7), (idle, 0)],
        }
    )


@pytest.mark.parametrize(
    ("label", "names"), [("pool", ("rw", "ro")), ("pool_name", ("rw", "ro")), ("pid", ("11", "12"))]
)
def test_q01_pools_that_differ_in_any_label_have_a_row_each(
    label: str, names: tuple[str, str]
) -> None:
    """The column POOL shows what tells them apart."""
    found = read_pools(two_pools(label, names), NOW)
    for preset in ("node-postgres", "psycopg-pool"):
        own = [one for one in found if one.preset == preset]
        assert [(one.pool, one.in_use, one.maximum, one.waiting) for one in own] == [
            (names[0], 10, 10, 7),
            (names[1], 0, 90, 0),
        ]


@pytest.mark.parametrize("others", [0, 1], ids=["all of them", "one of two"])
def test_q03_a_pool_whose_gauges_are_nan_has_a_row_that_says_so(others: int) -> None:
    """It is there, which is something else than no pool, and nobody knows how full it is."""
    names = ["hikaricp_connections_active", "hikaricp_connections_max"]
    refreshed, fine = WEB | {"pool": "main"}, WEB | {"pool": "jobs"}
    rows = {name: [(refreshed, nan), *[(fine, 9.0)] * others] for name in names}
    found = read_pools(Pools(rows), NOW)
    assert [(one.pool, one.in_use, one.share) for one in found] == [
        *[("jobs", 9.0, 1.0)] * others,
        ("main", None, None),
    ]


def test_p05_a_pool_that_two_monitors_scrape_has_one_row() -> None:
    """Labels of the scrape tell no pools apart, and nothing is added up."""
    twice = [WEB | {"pool": "main", "job": job} for job in ("podmonitor", "servicemonitor")]
    rows = {"hikaricp_connections_active": 9, "hikaricp_connections_max": 10}
    (pool,) = read_pools(
        Pools({name: [(one, n) for one in twice] for name, n in rows.items()}), NOW
    )
    assert (pool.in_use, pool.maximum, pool.pool) == (9, 10, "main")


def test_p12_pools_of_which_not_all_could_be_read_are_an_error() -> None:
    """The one that is missing may be the full one."""

    class Partly(Table):
        def _answer(self, query: SeriesQuery, times: Sequence[float]) -> MetricAnswer:
            if query.raw:
                return NoData("answered only in part", partial=True)
            return super()._answer(query, times)

    with pytest.raises(TransientError, match="only in part"):
        read_pools(Partly(AUTH, hikari(lambda _: 1.0, lambda _: 1.0)), NOW)
