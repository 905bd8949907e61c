"""Pictures of our dashboards: every panel is drawn from the answers to its own queries."""

import json
from pathlib import Path

import pytest

from tests.http_server import HttpServer, ReceivedRequest, Reply
from tools.dashboard_picture import DRAW, Range, color_at, page, pieces, written

BOARDS = Path(__file__).parents[1] / "manifests/monitoring/dashboards"
LABELS = {"namespace": "prod", "release": "auth", "pod": "auth-1", "reason": "ConnectionLeak"}


def answer(request: ReceivedRequest) -> Reply:
    """One series, worth 1 at any time."""
    at = {"value": [1000, "1"]} if "time" in request.form else {"values": [[900, "1"], [1000, "1"]]}
    body = {"status": "success", "data": {"result": [{"metric": LABELS, **at}]}}
    return Reply(json.dumps(body).encode())


@pytest.mark.parametrize("name", ["releases.json", "pools.json"])
def test_every_panel_is_drawn_from_its_own_queries(server: HttpServer, name: str):
    """With Grafana's variables replaced; a kind of panel that cannot be drawn would be an error."""
    server.answer = answer
    board = json.loads((BOARDS / name).read_text("utf-8"))
    html = page(board, Range(server.url, 100.0, 1000.0), board["panels"])
    asked = [request.form["query"] for request in server.requests]
    assert len(asked) == sum(len(panel["targets"]) for panel in board["panels"])
    assert not [query for query in asked if "$" in query]
    assert all(panel["title"] in html for panel in board["panels"])
    assert {panel["type"] for panel in board["panels"]} <= DRAW.keys()


def test_what_is_not_there_is_no_line(server: HttpServer):
    """A dashboard of an empty Prometheus says so instead of failing."""
    empty = {"status": "success", "data": {"result": []}}
    server.answer = lambda _: Reply(json.dumps(empty).encode())
    board = json.loads((BOARDS / "pools.json").read_text("utf-8"))
    html = page(board, Range(server.url, 100.0, 1000.0), board["panels"])
    assert "polyline" not in html
    assert "none" in html


def test_a_gap_is_left_out_of_a_line():
    """Nothing is known of it."""
    points = [(0.0, 1.0), (5.0, 1.0), (60.0, 2.0)]
    assert pieces(points, gap=15.0) == [points[:2], points[2:]]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.756, "percentunit", "75.6%"),
        (25.0, "percent", "25%"),
        (0.012, "s", "12 ms"),
        (5400.0, "s", "1.5 h"),
        (3.0, "short", "3"),
    ],
)
def test_a_number_has_its_unit(value: float, unit: str, text: str):
    """As people read it."""
    assert written(value, unit) == text


def test_a_threshold_colors_what_reaches_it():
    """The last step counts."""
    steps = {"steps": [{"color": "green", "value": None}, {"color": "red", "value": 0.75}]}
    assert color_at(0.74, steps) != color_at(0.75, steps)
