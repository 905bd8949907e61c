"""A release: one version everywhere, notes from the changelog, manifests that name the published image."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from canary import __version__
from tools.generate import with_version
from tools.release import IMAGES, ReleaseError, check, read_section, with_image
from tools.supply_chain import EXTRAS

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-12-01

### Added

- Something.

## [1.1.0] - 2026-11-01

- Older.
"""


def test_the_notes_are_the_versions_own_section():
    """Without its heading, and nothing of the version before."""
    assert read_section("1.2.0", CHANGELOG) == "### Added\n\n- Something.\n"


@pytest.mark.parametrize("version", ["1.3.0", "Unreleased", "1.2"])
def test_a_version_without_a_section_is_not_released(version: str):
    """Neither one that is missing nor one that says nothing."""
    with pytest.raises(ReleaseError, match=r"CHANGELOG\.md"):
        read_section(version, CHANGELOG)


def test_a_tag_of_another_version_is_refused():
    """The package would have another version than its release."""
    with pytest.raises(ReleaseError, match=re.escape(f"expected tag v{__version__}")):
        check("v99.0.0")


def test_install_yaml_of_a_release_names_the_published_image():
    """The one in the repository names an image that is built locally."""
    text = (ROOT / "manifests/install.yaml").read_text("utf-8")
    found = re.findall(r"image: (\S+)", with_image(text, "ghcr.io/somebody/canary-controller"))
    assert found == [f"ghcr.io/somebody/canary-controller:{__version__}"]
    with pytest.raises(ReleaseError, match=r"manifests/install\.yaml"):
        with_image("image: another:1.0.0", "ghcr.io/somebody/canary-controller")


@pytest.mark.parametrize(
    "text",
    [
        "image: registry.example/canary-controller:{}",
        "pip install 'canary-controller[access]=={}'",
        "- {{name: canary-controller, newTag: {}}}",
        "type: application\nversion: {0}\nappVersion: {0}\n",
    ],
)
def test_make_generate_copies_the_version_to_wherever_it_stands(text: str):
    """Images, requirements, overlays and the chart."""
    assert with_version(text.format("0.0.9")) == text.format(__version__)


def test_other_versions_stay():
    """Those of other programs."""
    for text in ("image: traefik:3.7.15", "pip install kubernetes==37.0.2", "kubeVersion: 1.31.0"):
        assert with_version(text) == text


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in WORKFLOWS])
def test_a_workflow_is_valid(path: Path):
    """By GitHub's schema, and by actionlint where it is installed."""
    words = (
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    )
    done = subprocess.run([*words, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    program = shutil.which("actionlint") or shutil.which(
        "actionlint", path=str(Path.home() / "go" / "bin")
    )
    if program is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run(
        [program, "-no-color", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_release_builds_every_image_on_a_base_that_was_checked():
    """By its digest, which `make release-check` demands."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text("utf-8"))["jobs"]
    images = jobs["image"]["strategy"]["matrix"]["include"]
    assert {one["lock"]: one["suffix"] for one in images} == IMAGES
    assert IMAGES.keys() == EXTRAS.keys()
    (build,) = [
        one["with"] for one in jobs["image"]["steps"] if "build-args" in one.get("with", {})
    ]
    assert build["build-args"].splitlines() == [
        "BASE=${{ needs.build.outputs.base }}",
        "LOCK=${{ matrix.lock }}",
    ]
    steps = jobs["build"]["steps"]
    (check_step,) = [one for one in steps if "make release-check" in one.get("run", "")]
    assert check_step["env"]["BASE"] == jobs["build"]["outputs"]["base"]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in WORKFLOWS])
def test_a_workflow_has_no_more_rights_than_it_needs(path: Path):
    """Read-only unless a job says what it writes; every job ends by itself."""
    document = yaml.safe_load(path.read_text("utf-8"))
    assert document["permissions"] == {"contents": "read"}
    for name, job in document["jobs"].items():
        assert job["timeout-minutes"] <= 120, name
        assert not ("pull_request" in path.read_text("utf-8") and "permissions" in job), name


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in WORKFLOWS])
def test_every_make_target_of_a_workflow_exists(path: Path):
    """A renamed target would break a release only when it is made."""
    targets = set(
        re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    )
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
    runs = [step.get("run", "") for job in jobs for step in job["steps"]]
    used = {found for run in runs for found in re.findall(r"^make ([a-z0-9-]+)", run, re.MULTILINE)}
    assert used <= targets
