"""Whole manifests per router: as the user wrote them, at 5 %, at 0, and put back."""

import json

import pytest

from canary.routers.gateway_api import HTTP_ROUTE
from canary.routers.names import Names
from canary.routers.split import read_weight, restore_weights, with_weight
from tests.routers.golden_routes import DIALECTS, NAMES, read_golden

EVERY = pytest.mark.parametrize("name", DIALECTS)


@EVERY
@pytest.mark.parametrize("weight", [5, 0])
def test_weighted(name: str, weight: int) -> None:
    """The canary gets its share beside the user's backends, and nothing else changes."""
    written = with_weight(DIALECTS[name], read_golden(name), NAMES, weight)
    assert written == read_golden(f"{name}.at-{weight}")
    assert read_weight(DIALECTS[name], written, NAMES) == weight


@EVERY
@pytest.mark.parametrize("weight", [5, 0])
def test_restored(name: str, weight: int) -> None:
    """What is put back is what the user wrote, to the byte and in its order."""
    put_back = restore_weights(DIALECTS[name], read_golden(f"{name}.at-{weight}"), NAMES)
    assert json.dumps(put_back) == json.dumps(read_golden(name))


@EVERY
def test_from_weight_to_weight(name: str) -> None:
    """It does not matter by which weights the present one was reached."""
    dialect = DIALECTS[name]
    at_5 = read_golden(f"{name}.at-5")
    assert with_weight(dialect, at_5, NAMES, 0) == read_golden(f"{name}.at-0")
    assert with_weight(dialect, read_golden(f"{name}.at-0"), NAMES, 5) == at_5


def test_two_releases_in_one_rule() -> None:
    """Each canary has its share of its own Service, and neither end disturbs the other release."""
    other = Names("prod", "legacy", "legacy")
    user, both = read_golden("http_route"), read_golden("http_route.two-releases")
    assert with_weight(HTTP_ROUTE, read_golden("http_route.at-5"), other, 20) == both
    assert read_weight(HTTP_ROUTE, both, NAMES) == 5
    assert read_weight(HTTP_ROUTE, both, other) == 20
    assert restore_weights(HTTP_ROUTE, both, other) == read_golden("http_route.at-5")
    alone = restore_weights(HTTP_ROUTE, both, NAMES)
    assert read_weight(HTTP_ROUTE, alone, other) == 20
    assert json.dumps(restore_weights(HTTP_ROUTE, alone, other)) == json.dumps(user)
