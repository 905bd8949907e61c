"""`canary init --from`: releases of Flagger and Argo Rollouts become CanaryReleases."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.api import load_release
from canary.api.yaml_documents import read_documents
from canary.cli.main import main
from canary.errors import UsageError
from canary.init.migration import convert_objects
from canary.init.migration.conversion import Conversion, Equivalent

EXAMPLES = Path(__file__).parents[2] / "docs/examples/migration"
FLAGGER = [one.data for one in read_documents((EXAMPLES / "flagger.yaml").read_bytes())]
ROLLOUTS = [one.data for one in read_documents((EXAMPLES / "argo-rollouts.yaml").read_bytes())]


def convert(objects: list[Any], **changed: Any) -> Conversion:
    """The only conversion of the objects, the first with other fields in its spec."""
    first, *rest = objects
    (found,) = convert_objects([first | {"spec": first["spec"] | changed}, *rest])
    return found


def release_of(conversion: Conversion) -> Any:
    """The release as a user would load it."""
    assert conversion.find_problems() == []
    return load_release(conversion.render(), "the conversion").spec


def test_a_canary_of_flagger_becomes_a_valid_release() -> None:
    """Weights, thresholds and webhooks keep their numbers."""
    spec = release_of(convert(FLAGGER))
    assert [(step.weight, step.duration) for step in spec.steps] == [
        (weight, 60.0) for weight in (10, 20, 30, 40, 50)
    ]
    assert spec.traffic.istio.virtual_service == "podinfo"
    errors, latency, custom = spec.analysis.metrics
    assert (errors.preset, errors.limit) == ("istio", 0.01)
    assert latency.latency.above == 0.5
    assert custom.max == 5
    assert 'destination_workload="podinfo-canary"' in custom.query
    assert [(one.name, one.when.value) for one in spec.checks] == [
        ("acceptance-test", "BeforeTraffic"),
        ("load-test", "EachStep"),
    ]
    assert spec.steps[-1].approval


def test_a_rollout_becomes_a_valid_release() -> None:
    """A pause after a weight is the step's duration, one without an end its approval."""
    conversion = convert(ROLLOUTS)
    spec = release_of(conversion)
    assert [(step.weight, step.duration, step.approval) for step in spec.steps] == [
        (5, 600.0, False),
        (20, 0.0, True),
        (50, 300.0, False),
    ]
    assert spec.traffic.gateway_api.name == "api"
    assert spec.rollback_window.releases == 3
    (metric,) = spec.analysis.metrics
    assert metric.min == 0.95
    assert "api-preview.prod.svc.cluster.local" in metric.query
    assert conversion.todo == [
        "write Deployment api with the Rollout's template, replicas and selector"
    ]


@pytest.mark.parametrize("objects", [FLAGGER, ROLLOUTS], ids=["Flagger", "Argo Rollouts"])
def test_every_field_of_the_source_is_accounted_for(objects: list[Any]) -> None:
    """No field is dropped without a line that says so."""
    paths = [note.path for note in convert(objects).notes]
    for name in objects[0]["spec"]:
        assert any(path.startswith(f"spec.{name}") for path in paths), name


@pytest.mark.parametrize("objects", [FLAGGER, ROLLOUTS], ids=["Flagger", "Argo Rollouts"])
def test_an_unknown_field_is_reported(objects: list[Any]) -> None:
    """A newer version of the other controller may have fields that are not known here."""
    notes = convert(objects, newField=1).notes
    (note,) = [one for one in notes if one.path == "spec.newField"]
    assert note.equivalent is Equivalent.NONE


def test_a_metric_with_a_condition_that_is_no_bound_is_left_to_a_person() -> None:
    """What cannot be translated is named, and nothing is invented for it."""
    template = yaml.safe_load(yaml.safe_dump(ROLLOUTS[1]))
    template["spec"]["metrics"][0]["successCondition"] = "all(result, # > 3) || isNaN(result)"
    (conversion,) = convert_objects([ROLLOUTS[0], template])
    assert [one["name"] for one in conversion.release["spec"]["analysis"]["metrics"]] == ["errors"]
    assert any("set min or max yourself" in note.text for note in conversion.notes)


@pytest.mark.parametrize(
    ("condition", "bounds"),
    [
        ("result[0] >= 0.95", {"min": 0.95}),
        ("result[0] < 100", {"max": 100.0}),
        ("result <= 1e-3", {"max": 0.001}),
        ("default(result[0], 0) > 2", {"min": 2.0}),
    ],
)
def test_a_condition_becomes_a_bound(condition: str, bounds: dict[str, float]) -> None:
    """A successCondition with one comparison is min or max."""
    template = yaml.safe_load(yaml.safe_dump(ROLLOUTS[1]))
    template["spec"]["metrics"][0]["successCondition"] = condition
    (conversion,) = convert_objects([ROLLOUTS[0], template])
    (metric,) = conversion.release["spec"]["analysis"]["metrics"]
    assert {key: metric[key] for key in ("min", "max") if key in metric} == bounds


def test_a_failure_condition_is_the_opposite_bound() -> None:
    """It fails above, so that is the maximum."""
    template = yaml.safe_load(yaml.safe_dump(ROLLOUTS[1]))
    metric = template["spec"]["metrics"][0]
    del metric["successCondition"]
    metric["failureCondition"] = "result[0] > 0.05"
    (conversion,) = convert_objects([ROLLOUTS[0], template])
    assert conversion.release["spec"]["analysis"]["metrics"][0]["max"] == 0.05


def test_a_daemon_set_stays_with_flagger() -> None:
    """Only Deployments are released."""
    conversion = convert(FLAGGER, targetRef={"kind": "DaemonSet", "name": "agent"})
    assert conversion.todo == ["spec.target: a DaemonSet cannot be released; keep Flagger for it"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"analysis": {"stepWeights": ["ten"]}}, id="a weight that is no number"),
        pytest.param({"analysis": {"metrics": 4}}, id="metrics that are no list"),
        pytest.param({"analysis": {"metrics": ["x"]}}, id="a metric that is no mapping"),
        pytest.param({"targetRef": {"name": ["x"]}, "analysis": {"webhooks": [3]}}, id="webhooks"),
    ],
)
def test_a_spec_of_the_wrong_shape_is_an_error_with_its_name(spec: dict[str, Any]) -> None:
    """No traceback: which object, and what is expected."""
    canary = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "odd"}}
    with pytest.raises(UsageError, match="Canary odd"):
        list(convert_objects([canary | {"spec": spec}]))


def test_the_command_prints_all_releases_and_a_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Several objects become several documents; what has changed is counted on standard error."""
    files = [str(EXAMPLES / "flagger.yaml"), str(EXAMPLES / "argo-rollouts.yaml")]
    assert main(["init", "--from", *files]) == 0
    out, err = capsys.readouterr()
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(out)] == ["podinfo", "api"]
    assert "Flagger Canary test/podinfo: fields: 4 same, 10 changed, 1 none" in err


def test_files_without_a_release_of_another_controller_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Deployment alone is for `canary init NAME`."""
    file = tmp_path / "other.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "utf-8")
    assert main(["init", "--from", str(file)]) == 2
    assert "a Canary of flagger.app or a Rollout of argoproj.io" in capsys.readouterr().err
