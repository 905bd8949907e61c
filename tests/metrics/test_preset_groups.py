"""Presets that read the same series are one; a pod's name says service and version."""

import pytest

from canary.metrics.preset_groups import (
    pool_preset_groups,
    ratio_preset_groups,
    service_and_version,
)
from canary.metrics.presets import POOLS, RATIOS


@pytest.mark.parametrize(
    ("name", "service", "version"),
    [
        pytest.param("auth-6c9d8f7b5-x2k4p", "auth", "stable", id="a Deployment's pod"),
        pytest.param("auth-canary-5b7d4f-k8w2q", "auth", "canary", id="its canary's pod"),
        pytest.param("auth-0", "auth", "stable", id="a StatefulSet's pod"),
        pytest.param("auth-x2k4p", "auth", "stable", id="a DaemonSet's pod"),
        pytest.param("my-auth-login", "my-auth-login", "stable", id="words are no generated names"),
        pytest.param("auth-canary", "auth", "canary", id="a workload, or an application's name"),
        pytest.param("canary", "canary", "stable", id="a service that is called so"),
        pytest.param("10.0.0.7:9187", "10.0.0.7:9187", "stable", id="an address"),
    ],
)
def test_a_name_says_service_and_version(name: str, service: str, version: str) -> None:
    """By Kubernetes' rules for generated names, and ours for canaries."""
    assert service_and_version(name) == (service, version)


def test_every_preset_is_in_exactly_one_group() -> None:
    """No exporter's pools or requests are forgotten, none are counted twice."""
    pools = [name for group in pool_preset_groups() for name in group.presets]
    ratios = [name for group in ratio_preset_groups() for name in group.presets]
    assert sorted(pools) == sorted(one.name for one in POOLS)
    assert sorted(ratios) == sorted(one.name for one in RATIOS)


def test_no_two_groups_read_the_same_series() -> None:
    """Otherwise two rules would record the same thing under two names."""
    assert len({group.in_use for group in pool_preset_groups()}) == len(pool_preset_groups())
    assert len({group.total.metric for group in ratio_preset_groups()}) == len(
        ratio_preset_groups()
    )


def test_a_group_has_what_any_of_its_presets_has() -> None:
    """Npgsql calls its waiting callers otherwise; SQLAlchemy has no maximum, its twin has."""
    groups = {group.name: group for group in pool_preset_groups()}
    assert {one.metric for one in groups["otel-db"].waiting} == {
        "db_client_connection_pending_requests",
        "db_client_connection_npgsql_pending_requests",
    }
    assert groups["otel-db-old"].maximum is not None
