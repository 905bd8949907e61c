"""`canary report`: what is in it, with and without Prometheus; its charts are tests/render's."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from canary.kube.objects import EVENTS, RELEASES
from tests.cli.conftest import Run
from tests.cli.releases import ENDED, store_release
from tests.cli.test_explain import furnish
from tests.http_server import HttpServer, ReceivedRequest, Reply
from tests.kube.api_server import ApiServer

BEGAN, OVER = ENDED["startedAt"], ENDED["endedAt"]
CANARY = "prod-auth-canary-80@kubernetescrd"
STABLE = "prod-auth-80@kubernetescrd"


@pytest.fixture
def release(server: ApiServer) -> dict[str, str]:
    """A release that was rolled back, with its pods gone and its Events there."""
    furnish(server.cluster)
    uid = store_release(server.cluster, "rolled back")["metadata"]["uid"]
    told = (
        (BEGAN, "Preparing", "Started", "A new template was found; the canary is being created."),
        (BEGAN + 60, "Progressing", "ShiftingTraffic", "The weight is written. (weight 25 %)"),
        (OVER - 60, "RollingBack", "WorseThanStable", "errors: canary fails <b>often</b>"),
        (OVER + 900, "Preparing", "Started", "Of the next release."),
    )
    for number, (at, phase, reason, note) in enumerate(told):
        event(server, number, uid, at=at, action=phase, reason=reason, note=note)
    event(
        server, 9, "somebody else", at=BEGAN + 1, action="Pulled", reason="Pulled", note="An image."
    )
    return {"uid": uid}


def event(server: ApiServer, number: int, uid: str, *, at: float, **said: str) -> None:
    """One Event as KubeNotifier writes it."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {"eventTime": stamp, "regarding": {"uid": uid}}
    metadata = {"name": f"auth.{number}", "namespace": "prod"}
    server.cluster.put(EVENTS, {"metadata": metadata, **body, **said})


def test_decisions_come_from_events(
    release: dict[str, str], run: Run, tmp_path: Path, server: ApiServer
) -> None:
    """Those of this release only, in their order, escaped; and how it ended."""
    assert release["uid"]
    file = tmp_path / "report.html"
    found = run("report", "auth", "-f", str(file))
    assert (found.code, found.out, found.err) == (0, f"Report: {file}\n", "")
    page = file.read_text("utf-8")
    rows = re.findall(
        r"<td>\d+</td><td>([\d:]+)</td><td>(\d+)&nbsp;%</td><td><strong>([^<]+)", page
    )
    assert rows == [
        ("0:00", "0", "Preparing"),
        ("1:00", "25", "Progressing"),
        ("9:00", "0", "Rolling back"),
        ("10:00", "0", "Rolled back"),
    ]
    assert "&lt;b&gt;often&lt;/b&gt;" in page
    assert "need --prometheus URL" in page
    assert "PromQL errors.total" in page
    assert server.asked["list", "events"] == 1


def test_without_events_the_history_is_enough(server: ApiServer, run: Run, tmp_path: Path) -> None:
    """Events are kept for an hour; beginning, end and figures stay in the status."""
    store_release(server.cluster, "rolled back")
    file = tmp_path / "report.html"
    assert run("report", "auth", "-f", str(file)).code == 0
    page = file.read_text("utf-8")
    assert "56 of 6,027 requests to the canary failed" in page
    assert "auth-canary-6d5f8-abcde" in page


def counters(
    rate: Callable[[str], tuple[float, float]],
) -> Callable[[ReceivedRequest], Reply]:
    """A Prometheus whose services count (requests/s, share of bad ones) since the beginning."""

    def answer(request: ReceivedRequest) -> Reply:
        form = request.form or {
            k: v[0] for k, v in parse_qs(request.path.partition("?")[2]).items()
        }
        query, end = form["query"], float(form["time"])
        start = end - int(query.rpartition("[")[2].removesuffix("s]"))
        found = [
            {
                "metric": {"service": service, "instance": "t:9100", "code": code},
                "values": _values(code, rate(service), start, end),
            }
            for service in (CANARY, STABLE)
            for code in ("200", "500")
            if "traefik" in query
        ]
        data = {"status": "success", "data": {"resultType": "matrix", "result": found}}
        return Reply(json.dumps(data).encode(), headers={"Content-Type": "application/json"})

    return answer


def _values(
    code: str, rate: tuple[float, float], start: float, end: float
) -> list[tuple[float, str]]:
    """Scraped every five seconds."""
    per_second, bad = rate
    share = bad if code == "500" else 1.0 - bad
    times = (time for time in range(int(start), int(end) + 1) if time % 5 == 0)
    return [(t, str(round((t - BEGAN + 5000) * per_second * share))) for t in times]


def test_with_prometheus_the_evidence_is_judged_once_more(
    release: dict[str, str], run: Run, tmp_path: Path
) -> None:
    """Both versions' requests, and the evidence as it grew, up to the line of the rollback."""
    assert release["uid"]
    prometheus = HttpServer()
    prometheus.answer = counters(lambda name: (10.0, 0.2) if name == CANARY else (90.0, 0.001))
    file = tmp_path / "report.html"
    try:
        found = run("report", "auth", "-f", str(file), "--prometheus", prometheus.url)
    finally:
        prometheus.close()
    assert (found.code, found.err) == (0, "")
    page = file.read_text("utf-8")
    figure = json.loads(
        re.findall(r'id="figure-1">(.*?)</script>', page)[0].replace("\\u003c", "<")
    )
    lines = {trace["name"]: trace["y"] for trace in figure["data"]}
    assert set(lines) >= {"weight", "failed, canary", "failed, stable", "evidence, errors"}
    failed = [value for value in lines["failed, canary"] if value is not None]
    assert failed == pytest.approx([0.2] * len(failed), abs=0.01)
    evidence = [value for value in lines["evidence, errors"] if value is not None]
    assert evidence[0] < 0.1
    assert max(evidence) >= 1


def test_a_prometheus_that_does_not_answer(
    release: dict[str, str], run: Run, tmp_path: Path
) -> None:
    """Exit code 1 says what goes without it; no half a report is left."""
    assert release["uid"]
    prometheus = HttpServer()
    prometheus.close()
    file = tmp_path / "report.html"
    found = run("report", "auth", "-f", str(file), "--prometheus", prometheus.url)
    assert found.code == 1
    assert "omit --prometheus for a report without figures" in found.err
    assert not file.exists()


def test_nothing_to_report(server: ApiServer, run: Run) -> None:
    """No release yet: exit code 2."""
    store_release(server.cluster, "ready")
    found = run("report", "auth")
    assert (found.code, found.err) == (
        2, "canary: prod/auth has had no release yet\n",
    )  # fmt: skip


def test_a_release_under_way(server: ApiServer, run: Run, tmp_path: Path) -> None:
    """So far: what it is at now is the headline."""
    store_release(server.cluster, "approval")
    assert server.cluster.get(RELEASES, "prod", "auth")
    file = tmp_path / "report.html"
    assert run("report", "auth", "-f", str(file)).code == 0
    assert "<h1>Waiting for approval at 50" in file.read_text("utf-8")
