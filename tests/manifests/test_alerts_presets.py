"""What is recorded of each exporter: the pages by which the presets are tested, in promtool."""

import re
from pathlib import Path

import pytest

from canary.metrics.preset_groups import pool_preset_groups, ratio_preset_groups
from tests.manifests.promtool import Found, Rows, evaluate_rules

PAGES = Path(__file__).parents[1] / "metrics/expositions"
PLACE = {"namespace": "prod", "pod": "auth-6c9d8f7b5-x2k4p", "instance": "10.0.0.7:8080"}
POOLS = [(name, group.name) for group in pool_preset_groups() for name in group.presets]
PER_POD = [one for one in ratio_preset_groups() if one.backend is None]
ROUTERS = {
    "istio": ("prod", "auth"),
    "linkerd": ("prod", "auth"),
    "envoy": ("prod", "auth"),
    "envoy-gateway": ("prod", "auth"),
    "traefik": ("prod", "prod-auth"),
    "traefik-gateway": ("prod", "prod-auth"),
    "traefik-file": ("prod", "auth"),
    "ingress-nginx": ("prod", "auth"),
}


def rows(page: str, values: str) -> Rows:
    """The page's series, scraped from one pod; `values` has {} for each series' own value."""
    found: Rows = {}
    for line in (PAGES / f"{page}.txt").read_text("utf-8").splitlines():
        if sample := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line):
            name, inside, value = sample.groups()
            labels = PLACE | dict(re.findall(r'(\w+)="([^"]*)"', inside or ""))
            given = ",".join(f'{label}="{own}"' for label, own in labels.items())
            found[f"{name}{{{given}}}"] = values.format(value)
    return found


def recorded(expression: str, page: str, home: Path, values: str = "{}x40") -> Found:
    """What the rules make of a page."""
    return evaluate_rules(expression, rows(page, values), home, at="8m")


@pytest.mark.parametrize(("page", "group"), POOLS)
def test_every_exporters_pool_is_recorded(page: str, group: str, tmp_path: Path) -> None:
    """Seven in use of ten, with service, version and pod, whatever the exporter calls them."""
    found = recorded("canary:pool_in_use:connections", page, tmp_path)
    if page == "postgres":
        # One more application and a person are connected to the same server.
        found = [one for one in found if one[0]["version"] == "canary"]
    labels = found[0][0]
    # PgBouncer has a pool per user and database: two of them on this page.
    assert sum(in_use for _, in_use in found) == 7
    assert len(found) == (2 if page == "pgbouncer" else 1)
    assert (labels["namespace"], labels["service"], labels["preset"]) == ("prod", "auth", group)


@pytest.mark.parametrize(
    ("page", "group"), [(page, group) for page, group in POOLS if page != "sqlalchemy"]
)
def test_every_maximum_is_recorded(page: str, group: str, tmp_path: Path) -> None:
    """SQLAlchemy exports none; a PostgreSQL server's is that of each of its clients."""
    found = recorded("canary:pool_utilisation:ratio", page, tmp_path)
    assert {labels["preset"] for labels, _ in found} == {group}
    fullest = 0.5 if page == "pgbouncer" else 0.7
    assert max(share for _, share in found) == pytest.approx(fullest)


FULL_AND_IDLE = [({"pool": "rw"}, {"pool": "ro"}), ({"pid": "11"}, {"pid": "12"})]
ADDRESSES = ({"instance": "10.0.0.7:8080"}, {"instance": "10.0.0.7:9090"})


def two_pools(full: dict[str, str], idle: dict[str, str]) -> Rows:
    """Of one pod: 10 of 10 beside 0 of 90; by node-postgres and by psycopg."""
    found: Rows = {}
    for own, busy, most in ((full, 10, 10), (idle, 0, 90)):
        given = ",".join(f'{name}="{value}"' for name, value in (PLACE | own).items())
        found |= {
            f"pg_pool_active_connections{{{given}}}": f"{busy}x40",
            f"pg_pool_max{{{given}}}": f"{most}x40",
            f"pool_size{{{given}}}": f"{most}x40",
            f"pool_available{{{given}}}": f"{most - busy}x40",
            f"pool_max{{{given}}}": f"{most}x40",
        }
    return found


@pytest.mark.parametrize(("full", "idle"), [*FULL_AND_IDLE, ADDRESSES])
def test_q01_the_fullest_pool_of_a_pod_counts(
    full: dict[str, str], idle: dict[str, str], tmp_path: Path
) -> None:
    """Whatever label tells them apart, a full pool is full, and its alert fires."""
    shares = evaluate_rules(
        "canary:pool_utilisation:ratio", two_pools(full, idle), tmp_path, at="8m"
    )
    for preset in ("node-postgres", "psycopg-pool"):
        own = [(labels, share) for labels, share in shares if labels["preset"] == preset]
        assert sorted(share for _, share in own) == [0, 1]
        (labels,) = [labels for labels, share in own if share == 1]
        assert labels.items() >= full.items()


def test_q01_a_pool_that_two_monitors_scrape_counts_once(tmp_path: Path) -> None:
    """Their series differ in nothing but the job."""
    twice = rows("node-postgres", "{}x40") | {
        key.replace("{", '{job="other",'): row
        for key, row in rows("node-postgres", "{}x40").items()
    }
    ((_, in_use),) = evaluate_rules("canary:pool_in_use:connections", twice, tmp_path, at="8m")
    assert in_use == 7


def test_unlimited_has_no_share(tmp_path: Path) -> None:
    """database/sql says 0; it is not a full pool."""
    page = {key: row for key, row in rows("go-sql", "{}x40").items() if "max_open" not in key}
    key = next(key for key in rows("go-sql", "{}x40") if "max_open" in key)
    found = evaluate_rules(
        "canary:pool_utilisation:ratio", {**page, key: "0x40"}, tmp_path, at="8m"
    )
    assert found == []


@pytest.mark.parametrize(
    ("page", "source"), [(name, group.name) for group in PER_POD for name in group.presets]
)
def test_every_exporters_requests_are_recorded(page: str, source: str, tmp_path: Path) -> None:
    """50 of 1,000 failed; probes and metrics pages do not count."""
    share = "canary:errors:rate5m / canary:requests:rate5m"
    ((labels, failed),) = recorded(share, page, tmp_path, "0+{}x40")
    assert failed == pytest.approx(0.05)
    assert labels == {"namespace": "prod", "service": "auth", "source": source}


@pytest.mark.parametrize(("page", "place"), ROUTERS.items())
def test_every_routers_requests_are_recorded(
    page: str, place: tuple[str, str], tmp_path: Path
) -> None:
    """Canary and stable are one service: 60 of 10,010 failed."""
    share = "canary:errors:rate5m / canary:requests:rate5m"
    found = recorded(share, page, tmp_path, "0+{}x40")
    own = [failed for labels, failed in found if (labels["namespace"], labels["service"]) == place]
    assert own == [pytest.approx(60 / 10_010, rel=0.01)], found
