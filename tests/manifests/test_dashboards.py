"""The dashboards: of Grafana's schema, and every question of every panel has an answer."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.manifests.promtool import Rows, evaluate_rules

ROOT = Path(__file__).parents[2] / "manifests"
FILES = sorted((ROOT / "monitoring/dashboards").glob("*.json"))
POD = '{namespace="prod",pod="auth-canary-5b7d4f-k8w2q",pool="main"}'
OF = 'namespace="prod",release="auth"'
BUCKET = 'canary_reconcile_duration_seconds_bucket{result="success",le='
ROWS: Rows = {
    f"hikaricp_connections_max{POD}": "50x300",
    f"hikaricp_connections_active{POD}": "5+0.15x300",
    f"hikaricp_connections_usage_seconds_sum{POD}": "0+75x300",
    f"hikaricp_connections_pending{POD}": "2x300",
    f"hikaricp_connections_timeout_total{POD}": "0+1x300",
    f'canary_release_info{{{OF},stable="a",canary="b",rejected=""}}': "1x300",
    f'canary_release_phase{{{OF},phase="Paused",reason="Contested"}}': "1x300",
    f"canary_release_weight{{{OF}}}": "25x300",
    f"canary_release_step{{{OF}}}": "2x300",
    f'canary_release_verdict{{{OF},metric="pool",verdict="Continue"}}': "1x300",
    f'canary_release_evidence{{{OF},metric="pool"}}': "12x300",
    f'canary_release_rollbacks_total{{{OF},reason="ConnectionLeak"}}': "_x100 1x200",
    f"canary_release_promotions_total{{{OF}}}": "3x60 4x240",
    f'{BUCKET}"0.1"}}': "0+9x300",
    f'{BUCKET}"+Inf"}}': "0+10x300",
    'canary_reconcile_duration_seconds_count{result="success"}': "0+10x300",
}


def queries(panels: list[dict]) -> Iterator[tuple[str, str]]:
    """Title of the panel, letter and expression of each of its questions."""
    for panel in panels:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]


def filled(expression: str) -> str:
    """With the variables as Grafana fills them in."""
    values = {"__range": "30m", "__rate_interval": "2m"}
    values |= dict.fromkeys(("namespace", "service", "version", "release"), ".*")
    for name, value in values.items():
        expression = expression.replace(f"${name}", value)
    return expression


EXPRESSIONS = {
    f"{file.stem}: {title}": filled(expression)
    for file in FILES
    for title, expression in queries(json.loads(file.read_text("utf-8"))["panels"])
}


def test_every_question_of_every_panel_has_an_answer(tmp_path: Path) -> None:
    """By Prometheus' own engine, on what exporters and operator say while a pool leaks."""
    marked = (
        f'label_replace(vector(1) and on () ({text}), "question", "{name}", "", "")'
        for name, text in EXPRESSIONS.items()
    )
    found = evaluate_rules(" or ".join(marked), ROWS, tmp_path, at="35m")
    assert {labels["question"] for labels, _ in found} == set(EXPRESSIONS)


def value(question: str, tmp_path: Path) -> float:
    """The one number that a panel shows."""
    ((_, number),) = evaluate_rules(EXPRESSIONS[question], ROWS, tmp_path, at="35m")
    return number


def test_a_first_rollback_is_counted(tmp_path: Path) -> None:
    """Its counter begins with 1, which `increase` would not see."""
    assert value("releases: Rolled back A", tmp_path) == 1
    assert value("releases: Promoted A", tmp_path) == 1


def test_pools_show_the_story(tmp_path: Path) -> None:
    """At 35 minutes 26 of 50 are in use, and the rest is gone in 40 minutes."""
    assert value("pools: Fullest pool A", tmp_path) == pytest.approx(0.52)
    assert value("pools: First pool is empty in A", tmp_path) == pytest.approx(2400, rel=0.05)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_what_grafanas_own_types_read(file: Path) -> None:
    """Read and written again by Grafana's SDK nothing is lost, so nothing is misspelt."""
    register_default_plugins()
    content = json.loads(file.read_text("utf-8"))
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(content))) == content


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_do_not_overlap_and_ask_the_source_that_people_choose(file: Path) -> None:
    """Each has a place of its own, a title, an explanation, and `$datasource`."""
    content = json.loads(file.read_text("utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in content["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize(
    ("switch", "template"),
    [("alerts", "alerts"), ("alerts", "monitor"), ("dashboards", "dashboards")],
)
def test_the_chart_brings_what_manifests_have(switch: str, template: str) -> None:
    """The same rules and dashboards, however they are installed."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("needs helm on the PATH")
    done = subprocess.run(
        [helm, "template", "canary", str(ROOT / "chart"), "--kube-version", "1.37.0",
         "--set", f"{switch}.enabled=true", "--show-only", f"templates/{template}.yaml"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    items = list(yaml.safe_load_all(done.stdout))
    if switch == "alerts":
        file = {"alerts": "prometheusrule.yaml", "monitor": "servicemonitor.yaml"}[template]
        own = yaml.safe_load((ROOT / "monitoring" / file).read_text("utf-8"))
        assert [item["spec"] for item in items] == [own["spec"]]
    else:
        found = [json.loads(text) for item in items for text in item["data"].values()]
        assert found == [json.loads(file.read_text("utf-8")) for file in FILES]
