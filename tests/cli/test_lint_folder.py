"""`canary lint` of a folder: other manifests, empty fields, and what is no manifest."""

from pathlib import Path

import pytest

from canary.cli.main import main
from tests.discovery.simulated_cluster import DEPLOYMENT, RELEASE, ROUTE, SERVICE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One object in each file."""
    for name, text in (("d", DEPLOYMENT), ("s", SERVICE), ("r", ROUTE), ("c", RELEASE)):
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize("whole", [True, False])
def test_m17_other_manifests_stand_beside_the_release(
    folder: Path, *, whole: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a folder and as files: exit code 0."""
    files = [str(folder)] if whole else [str(one) for one in sorted(folder.iterdir())]
    assert main(["lint", *files]) == 0
    assert "Deployment auth: skipped" in capsys.readouterr().out


def test_m17_no_release_at_all_is_a_mistake(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody named the wrong folder."""
    (folder / "c.yaml").unlink()
    assert main(["lint", str(folder)]) == 2
    assert "expected a CanaryRelease" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("d", "replicas: 4", "replicas:"),
        ("d", "metadata: {name: auth, namespace: prod}", "metadata: {name: auth, labels: }"),
        ("d", "containers: [{name: auth,", "initContainers: , containers: [{ports: , name: auth,"),
        ("r", "port: 80}", "port: 80, weight: }"),
        ("r", "parentRefs", "hostnames:\n  parentRefs"),
        ("s", "ports: [{port: 80}]", "type: , ports: [{port: 80, nodePort: }]"),
    ],
)
def test_m01_an_empty_field_is_absent(
    folder: Path, name: str, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the API server takes it."""
    file = folder / f"{name}.yaml"
    assert old in file.read_text("utf-8")
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    assert main(["lint", str(folder)]) == 0, capsys.readouterr()
    assert main(["init", "--offline", str(folder), "--metric", "http", "-n", "prod"]) == 0


def test_m17_files_of_kustomize_and_helm_are_no_manifests(folder: Path) -> None:
    """They have no kind."""
    (folder / "kustomization.yaml").write_text("resources: [d.yaml]\n", "utf-8")
    (folder / "values.yaml").write_text("replicas: 2\n", "utf-8")
    assert main(["lint", str(folder)]) == 0


def test_a_part_of_a_manifest_is_left_alone(folder: Path) -> None:
    """A patch of Kustomize has not all that the API server requires."""
    (folder / "d.yaml").write_text(DEPLOYMENT[: DEPLOYMENT.index("  selector:")], "utf-8")
    (folder / "s.yaml").write_text(SERVICE[: SERVICE.index("spec:")], "utf-8")
    assert main(["lint", str(folder)]) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "d",
            DEPLOYMENT[: DEPLOYMENT.index("spec:")] + "spec:\n",
            "spec.selector: expected a mapping",
        ),
        (
            "s",
            SERVICE[: SERVICE.index("spec:")] + "spec:\n",
            "Service auth: spec: expected a mapping",
        ),
        (
            "r",
            ROUTE[: ROUTE.index("spec:")] + "spec:\n",
            "HTTPRoute auth: spec: expected a mapping",
        ),
    ],
)
def test_m01_an_empty_field_that_is_required_is_named(
    folder: Path, name: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In lint and in init, and never as a crash."""
    (folder / f"{name}.yaml").write_text(text, "utf-8")
    assert main(["lint", str(folder)]) == 2
    assert message in capsys.readouterr().out
    assert main(["init", "--offline", str(folder), "--metric", "http"]) == 2
    assert message in capsys.readouterr().err
