"""One real stack: PostgreSQL, the auth service in two versions, Traefik, load."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from canary.demo.cluster.instances import Build, Instance, start_instance
from canary.demo.cluster.postgres import start_postgres
from canary.demo.cluster.processes import ChildDiedError, Supervisor, wait_until
from canary.demo.cluster.prometheus import ScrapeEndpoint, find_prometheus, start_prometheus
from canary.demo.cluster.traefik import TraefikServer, TrafficSplit, start_traefik
from canary.demo.cluster.workdir import LocalError
from canary.demo.load.accounts import PASSWORD, create_accounts, user_name
from canary.demo.load.process import start_load_process
from canary.demo.load.schedule import LoadProfile

RARE = 3
POOL = 4


@dataclass(frozen=True)
class Stack:
    dsn: str
    stable: list[Instance]
    leaky: Instance
    traefik: TraefikServer

    def shift(self, weight: int) -> None:
        """Give the leaky instance this weight, and wait until it applies."""
        urls = [one.url for one in self.stable]
        self.traefik.wait_applied(self.traefik.write(weight, urls, [self.leaky.url]))


@pytest.fixture(scope="module")
def stack(supervisor: Supervisor, room: Path) -> Stack:
    """Two good instances, a leaking one at weight 0, a database and a router."""
    postgres = start_postgres(supervisor, room / "pg", max_connections=40)
    create_accounts(postgres.dsn, 1000)
    good = Build("good", "v1", pool_max=POOL, leak_every=RARE)
    leak = Build("leak", "v2", pool_max=POOL, leak_every=RARE)
    stable = [
        start_instance(supervisor, f"auth-stable-{i}", dsn=postgres.dsn, build=good)
        for i in range(2)
    ]
    leaky = start_instance(supervisor, "auth-canary-0", dsn=postgres.dsn, build=leak)
    for instance in (*stable, leaky):
        instance.wait_ready()
    split = TrafficSplit.from_urls(0, [one.url for one in stable], [leaky.url])
    return Stack(postgres.dsn, stable, leaky, start_traefik(supervisor, room / "traefik", split))


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    """Connections that are kept, and never a proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def log_in(http: requests.Session, url: str, user: int, password: str = PASSWORD):
    """The answer to a login."""
    body = {"user": user_name(user), "password": password}
    return http.post(f"{url}/login", json=body, timeout=10)


def sample(http: requests.Session, instance: Instance, name: str) -> float:
    """The sum of the samples of that name on the instance's metrics page."""
    page = http.get(instance.metrics_url, timeout=10).text
    families = text_string_to_metric_families(page)
    return sum(s.value for family in families for s in family.samples if s.name == name)


def in_use(http: requests.Session, instance: Instance) -> float:
    """Connections that are out, as the preset psycopg-pool counts them."""
    return sample(http, instance, "pool_size") - sample(http, instance, "pool_available")


def test_at_weight_0_the_canary_gets_no_request(stack: Stack, http: requests.Session):
    """Zero is zero, not few."""
    stack.shift(0)
    before = sample(http, stack.leaky, "http_requests_total")
    versions = {log_in(http, stack.traefik.url, 1).headers["X-Version"] for _ in range(60)}
    assert versions == {"v1"}
    assert sample(http, stack.leaky, "http_requests_total") == before


def test_a_weight_is_what_the_canary_gets(stack: Stack, http: requests.Session):
    """A quarter is a quarter, and the router counts it under the canary's name."""
    stack.shift(25)
    versions = Counter(log_in(http, stack.traefik.url, 1).headers["X-Version"] for _ in range(80))
    page = http.get(stack.traefik.metrics_url, timeout=10).text
    stack.shift(0)
    assert versions == {"v1": 60, "v2": 20}
    assert 'traefik_service_requests_total{code="200",method="POST",protocol="http"' in page
    assert 'service="auth-canary@file"' in page


def test_a_weight_counts_as_applied_only_when_traefiks_api_shows_it(stack: Stack):
    """What is only written, and then refused, is never shown."""
    stack.shift(0)
    before = stack.traefik.read_split()
    wanted = TrafficSplit.from_urls(50, ["http://127.0.0.1:1", "not a url://"], [])
    draft = stack.traefik._routes.with_suffix(".broken")
    draft.write_text("http: [broken")
    draft.replace(stack.traefik._routes)
    with pytest.raises(LocalError, match=r"expected weight 50 in Traefik's API within 0.3 s"):
        stack.traefik.wait_applied(wanted, 0.3)
    assert stack.traefik.read_split() == before
    stack.shift(0)


def test_a_leaked_connection_stays_taken_in_the_real_pool(stack: Stack, http: requests.Session):
    """One by one, until logins fail with 503; the hold time of a leaked one never counts."""
    for leaks in range(1, POOL + 1):
        assert log_in(http, stack.leaky.url, RARE * leaks).status_code == 200
        assert in_use(http, stack.leaky) == leaks
    held = sample(http, stack.leaky, "usage_ms")
    refused = log_in(http, stack.leaky.url, 1)
    assert refused.status_code == 503
    assert "no database connection" in refused.json()["error"]
    assert refused.headers["X-Instance"] == "auth-canary-0"
    assert sample(http, stack.leaky, "requests_errors") == 1
    assert in_use(http, stack.leaky) == sample(http, stack.leaky, "pool_max") == POOL
    assert sample(http, stack.leaky, "usage_ms") == held


def test_the_same_logins_leave_the_good_versions_pool_full(stack: Stack, http: requests.Session):
    """The rare path is taken there as well, and gives its connection back."""
    for user in range(1, 3 * RARE * POOL):
        assert log_in(http, stack.stable[0].url, user).status_code == 200
    assert in_use(http, stack.stable[0]) == 0


def test_a_health_check_fails_on_demand_while_the_service_answers(
    stack: Stack, http: requests.Session
):
    """As of a process that lives and is not ready: SIGUSR1, and SIGUSR2 for the way back."""
    one = stack.stable[1]
    os.kill(one.child.pid, signal.SIGUSR1)
    wait_until(lambda: not one.ready(), one.child, seconds=5, what="a failing health check")
    assert log_in(http, one.url, 1).status_code == 200
    os.kill(one.child.pid, signal.SIGUSR2)
    one.wait_ready()


def test_a_token_of_one_instance_is_good_at_another(stack: Stack, http: requests.Session):
    """They share the secret through the database."""
    one, other = (instance.url for instance in stack.stable)
    body = {"user": "ada", "password": "lovelace"}
    registered = http.post(f"{one}/register", json=body, timeout=10)
    token = http.post(f"{other}/login", json=body, timeout=10).json()["token"]
    answer = http.get(f"{one}/check", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert (registered.status_code, answer.status_code) == (201, 200)
    assert answer.json() == registered.json()


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        pytest.param("/login", {"json": {"user": "user-1", "password": "x"}}, 401, id="password"),
        pytest.param("/login", {"json": {"user": "nobody", "password": "x"}}, 401, id="name"),
        pytest.param("/login", {"json": {"user": "user-1"}}, 400, id="half a body"),
        pytest.param("/login", {"json": ["user-1"]}, 400, id="a list"),
        pytest.param("/login", {"data": b"\xff{"}, 400, id="no JSON"),
        pytest.param(
            "/register", {"json": {"user": "user-1", "password": "x"}}, 409, id="a taken name"
        ),
    ],
)
def test_wrong_input_is_the_callers_fault(
    stack: Stack, http: requests.Session, path: str, sent: dict[str, object], status: int
):
    """Never a 500, which would count against the version."""
    assert http.post(stack.stable[0].url + path, timeout=10, **sent).status_code == status


@pytest.mark.parametrize("token", ["", "1", "1.2", "1.\xff", "x.y"])
def test_a_forged_token_is_refused(stack: Stack, http: requests.Session, token: str):
    """Whatever it looks like."""
    header = {"Authorization": f"Bearer {token}".encode("latin-1")}
    assert http.get(f"{stack.stable[0].url}/check", headers=header, timeout=10).status_code == 401


def test_a_removed_instance_costs_no_request(stack: Stack, supervisor: Supervisor, room: Path):
    """Out of the routes, shown, then stopped: nobody notices, under load."""
    build = Build(pool_max=POOL)
    leaving = start_instance(supervisor, "auth-leaving", dsn=stack.dsn, build=build)
    leaving.wait_ready()
    stay = [one.url for one in stack.stable]
    stack.traefik.wait_applied(stack.traefik.write(0, [*stay, leaving.url], []))
    traffic = start_load_process(
        supervisor, room / "load.jsonl", url=stack.traefik.url, profile=LoadProfile(80, users=1000)
    )
    seconds = next_records(traffic)
    stack.traefik.wait_applied(stack.traefik.write(0, stay, []))
    supervisor.forget(leaving.child)
    next_records(traffic)
    summary = traffic.finish()
    supervisor.forget(traffic.child)
    assert sum(second.ok_by_instance.get("auth-leaving", 0) for second in seconds) > 0
    assert (summary.failed, summary.ok) == (0, summary.sent)
    assert summary.sent > 80


def next_records(traffic):
    """Wait for the next line of the load generator."""
    found = []

    def arrived() -> bool:
        found.extend(traffic.poll())
        return bool(found)

    wait_until(arrived, traffic.child, seconds=10, what="a line of the load")
    return found


def test_a_version_that_crashes_is_noticed(
    stack: Stack, supervisor: Supervisor, http: requests.Session
):
    """The connection breaks, and the supervisor says who died."""
    build = Build("crash:1")
    instance = start_instance(supervisor, "auth-crash", dsn=stack.dsn, build=build)
    instance.wait_ready()
    with pytest.raises(requests.ConnectionError):
        log_in(http, instance.url, 1)
    assert instance.child.wait(10)
    with pytest.raises(ChildDiedError, match="auth-crash ended with exit code 1"):
        supervisor.check()
    assert not instance.ready()
    supervisor.forget(instance.child)


def test_a_second_router_runs_beside_the_first(stack: Stack, supervisor: Supervisor, room: Path):
    """Own ports, own files."""
    split = TrafficSplit.from_urls(100, [], [stack.stable[0].url])
    second = start_traefik(supervisor, room / "traefik-2", split)
    assert second.read_split() == split != stack.traefik.read_split()
    supervisor.forget(second.child)


@pytest.mark.skipif(find_prometheus() is None, reason="no prometheus on PATH or in $PROMETHEUS")
def test_a_real_prometheus_sees_the_instances_under_their_labels(
    stack: Stack, supervisor: Supervisor, room: Path, http: requests.Session
):
    """And those that are written later as well."""
    one, other = stack.stable
    first = ScrapeEndpoint(one.metrics_url, {"namespace": "prod", "pod": one.name})
    later = ScrapeEndpoint(other.metrics_url, {"namespace": "prod", "pod": other.name})
    prometheus = start_prometheus(supervisor, room / "prometheus", [first], interval=0.5)
    prometheus.write_targets([first, later])

    def seen() -> set[str]:
        query = {"query": 'pool_max{namespace="prod"} == 4'}
        answer = http.get(f"{prometheus.url}/api/v1/query", params=query, timeout=10).json()
        return {result["metric"]["pod"] for result in answer["data"]["result"]}

    wait_until(
        lambda: seen() == {one.name, other.name}, prometheus.child, seconds=30, what="both pods"
    )
    supervisor.forget(prometheus.child)
