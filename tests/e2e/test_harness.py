"""What the end-to-end tests read off a release, without a cluster."""

import json
from dataclasses import asdict

import pytest
import yaml

from canary.kube.objects import Object
from e2e.harness.auth import route
from e2e.harness.gateways import choose
from e2e.harness.grafana import grafana
from e2e.harness.load import RunningLoad
from e2e.harness.measurements import Measurements
from e2e.harness.recorder import ClusterRecorder, canary_weight
from e2e.harness.result_table import HEAD, render_costs, render_table, write_block, write_table
from e2e.harness.totals import PytestRun, summary


def routed(*weights: int) -> Object:
    """The route with these weights for stable and canary."""
    made = route("prod")
    names = ("auth", "auth-canary")
    refs = [{"name": n, "weight": w} for n, w in zip(names, weights, strict=False)]
    made["spec"]["rules"][0]["backendRefs"] = refs
    return made


@pytest.mark.parametrize(
    ("weights", "percent"),
    [
        pytest.param((1,), 0, id="the user's own route"),
        pytest.param((95, 5), 5, id="percent"),
        pytest.param((3, 1), 25, id="shares"),
        pytest.param((0, 0), 0, id="nobody gets anything"),
    ],
)
def test_the_weight_is_read_off_the_route(weights: tuple[int, ...], percent: int):
    """As percent of what both get."""
    assert canary_weight(routed(*weights)) == percent


def test_a_film_knows_when_the_canary_had_traffic():
    """From its first weight above 0 to its last way back to 0."""
    film = ClusterRecorder()
    for weights in [(1,), (95, 5), (100, 0), (80, 20), (80, 20), (1,)]:
        film.add(routed(*weights))
    assert [frame.what for frame in film.weights] == [0, 5, 0, 20, 0]
    assert film.first_weight() == film.weights[1].at
    assert film.back_to_zero() == film.weights[-1].at


def slice_of(service: str, **pods: bool) -> Object:
    """An EndpointSlice of the Service; for each pod (`_` for `-`), whether it is ready."""
    endpoints = [
        {"targetRef": {"name": name.replace("_", "-")}, "conditions": {"ready": ready}}
        for name, ready in pods.items()
    ]
    labels = {"kubernetes.io/service-name": service}
    metadata = {"name": f"{service}-x", "labels": labels}
    return {"kind": "EndpointSlice", "metadata": metadata, "endpoints": endpoints}


def test_a_film_knows_how_long_the_canary_had_weight_and_no_ready_endpoint():
    """From whichever came second until whichever went first; none where weight 0 came first."""
    film = ClusterRecorder()
    film.add(slice_of("auth-canary", auth_canary_1=True))
    film.add(routed(95, 5))
    assert film.ready("auth-canary") == {"auth-canary-1"}
    film.add(slice_of("auth-canary", auth_canary_1=False))
    film.add(routed(100, 0))
    film.add(slice_of("auth-canary", auth_canary_1=True))
    film.add(routed(80, 20))
    film.add(routed(100, 0))
    film.add(slice_of("auth-canary"))
    (span,) = film.seconds_with_weight_and_no_pod()
    assert span == film.weights[1].at - film.endpoints["auth-canary"][1].at


def test_a_film_names_services_that_selected_a_canary_pod():
    """Also where it was not ready, and also when that is over; never the canary's own Service."""
    film = ClusterRecorder()
    film.add(slice_of("auth-canary", auth_canary_1=True))
    film.add(slice_of("auth", auth_1=True))
    assert film.misled() == set()
    film.add(slice_of("backend", auth_1=True, auth_canary_1=False))
    film.add(slice_of("backend", auth_1=True))
    assert film.misled() == {"backend"}


def test_load_keeps_every_failure():
    """Who answered it, and how."""
    load = RunningLoad()
    load.take({"kind": "failure", "status": "503", "version": "v2"})
    load.take({"kind": "second", "sent": 50, "ok_by_instance": {"a": 49}})
    assert str(load) == "50 requests, failed: 1 × 503 of v2"
    assert load.failed(0, float("inf"), "v1") == []


def test_figures_stand_beside_those_of_the_peers(tmp_path):
    """The table replaces what was between its markers, and nothing else."""
    figures = Measurements(
        "100 % errors, counted at x", "RolledBack", "CanaryOutage", 9.7, 18, 0.9, 0, 1077
    )
    (tmp_path / "one.json").write_text(json.dumps(asdict(figures)))
    before, other = "before\n<!-- e2e:start -->\n", "<!-- e2e-x:start -->theirs<!-- e2e-x:end -->\n"
    page = write_table(f"{before}old\n<!-- e2e:end -->\n{other}", render_table(tmp_path))
    assert "old" not in page
    assert page.startswith(before)
    assert page.endswith(f"<!-- e2e:end -->\n{other}")
    assert (
        "| 100 % errors, counted at x | RolledBack: CanaryOutage | 9.7 | 18 | 0.90 | 0 of 1077 |"
        in page
    )
    assert "20 s, 48 errors" in page


def test_a_run_of_chosen_tests_replaces_only_the_rows_that_it_measured(tmp_path):
    """A row is known by the name of its release; the note beside it may change."""
    others = "| good | Promoted: Promoted | 61.0 | 0 | – | 0 of 3270 | – | – | – |\n"
    old = "| 5 % errors, first (old note) | Paused: NoData | – | 0 | – | – | – | – | – |\n"
    page = f"<!-- e2e:start -->\n{HEAD.lstrip()}{old}{others}<!-- e2e:end -->\n"
    figures = Measurements("5 % errors, first", "RolledBack", "WorseThanStable", note="new note")
    (tmp_path / "one.json").write_text(json.dumps(asdict(figures)))
    written = write_table(page, render_table(tmp_path), keep_others=True)
    assert others in written
    assert "old note" not in written
    assert written.count("5 % errors, first (new note) | RolledBack") == 1
    assert written.count("| release |") == 1


def test_what_a_release_costs_has_a_table_of_its_own(tmp_path):
    """Written by the command as measured, and only by a run that has measured it."""
    good = Measurements("good", "Promoted", "Promoted")
    (tmp_path / "good.json").write_text(json.dumps(asdict(good)))
    assert not render_costs(tmp_path)
    costs = {"requests": 77, "writes": 66, "queries": 45, "passes": 98, "seconds": 117.4}
    alone = Measurements("alone", "Promoted", "Promoted", costs={**costs, "cpu": 0.007, "load": 9})
    (tmp_path / "alone.json").write_text(json.dumps(asdict(alone)))
    page = "a\n<!-- in-flight:start -->\nold\n<!-- in-flight:end -->\nb\n"
    written = write_block(page, render_costs(tmp_path), "in-flight")
    assert "| alone | 77 | 66 | 45 | 98 | 117 | 0.70% | 9 |\n<!-- in-flight:end -->\nb\n" in written
    assert "old" not in written


def test_the_main_run_goes_by_the_environment():
    """Nothing of it is changed."""
    given = {"GATEWAY": "edge/public", "GATEWAY_URL": "http://edge", "ROUTER_METRICS_URL": "x"}
    environment = dict(given)
    assert choose("traefik", environment).marker == "e2e"
    assert environment == given


def test_another_gateway_is_told_to_all_tests():
    """Its routes, its address, and no metrics page of the router that it takes the place of."""
    asked = {"ENVOY_GATEWAY": "edge/envoy", "ENVOY_GATEWAY_URL": "http://envoy:8080"}
    environment = {**asked, "GATEWAY": "lab/lab", "ROUTER_METRICS_URL": "x"}
    assert choose("envoy", environment).tests == "e2e/test_envoy.py"
    here = {"CANARY_E2E_GATEWAY": "envoy", "GATEWAY": "edge/envoy"}
    assert environment == {**asked, **here, "GATEWAY_URL": "http://envoy:8080"}


def test_the_closing_line_adds_up_the_tests_of_all_processes():
    """So that whoever reads only the last line knows that tests ran, and how they ended."""
    runs = [
        PytestRun(
            "a", good=True, output="...\n3 passed, 2 skipped in 1.20s\n3091 requests, failed: 5\n"
        ),
        PytestRun("b", good=True, output="s\n1 skipped in 0.96s\n"),
        PytestRun("c", good=False, output="1 failed, 1 passed, 1 error in 62.00s (0:01:02)\n"),
    ]
    assert summary(runs) == "4 passed, 2 failed, 3 skipped"


def test_a_process_that_was_ended_counts_as_a_failed_test():
    """It printed no closing line of its own."""
    assert (
        summary([PytestRun("a", good=False, output="not over after 600 s")])
        == "0 passed, 1 failed, 0 skipped"
    )


def test_grafana_gets_every_dashboard_and_a_prometheus():
    """Its ConfigMaps are files that Grafana reads when it starts."""
    files = {
        made["metadata"]["name"]: made["data"]
        for made in grafana("http://prometheus.lab:9090")
        if made["kind"] == "ConfigMap"
    }
    assert set(files["dashboards"]) == {"pools.json", "releases.json"}
    assert all(json.loads(text)["panels"] for text in files["dashboards"].values())
    (source,) = yaml.safe_load(files["datasources"]["prometheus.yaml"])["datasources"]
    assert source["url"] == "http://prometheus.lab:9090"
    assert source["isDefault"] is True
