"""What the images are made of: exact versions, each with its hashes."""

import re
import tomllib
from pathlib import Path

import pytest

from tools.supply_chain import EXTRAS, has_digest, read_pins

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = read_pins((ROOT / "constraints.txt").read_text())


@pytest.mark.parametrize("image", EXTRAS)
def test_an_image_contains_what_the_tests_ran_with_and_nothing_without_a_hash(image: str):
    """After a change of pyproject.toml or constraints.txt: `make locks`."""
    text = (ROOT / "locks" / f"{image}.txt").read_text()
    pins = read_pins(text)
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(
            one
            for extra in EXTRAS[image]
            for one in PROJECT["project"]["optional-dependencies"][extra]
        ),
    ]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", one)[0]).lower() for one in wanted}
    assert names <= pins.keys()
    known = {name: version for name, version in pins.items() if name in CONSTRAINTS}
    assert known.items() <= CONSTRAINTS.items()
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in entry, entry


def test_only_the_image_of_checks_has_the_load_generator():
    """The operator needs no libcurl and no database driver."""
    operator = read_pins((ROOT / "locks/operator.txt").read_text())
    checks = read_pins((ROOT / "locks/checks.txt").read_text())
    assert {"pycurl", "psycopg"} <= checks.keys() - operator.keys()
    assert operator.items() <= checks.items()


def test_the_build_backend_is_pinned_with_its_hash():
    """It runs when the wheel is built."""
    (backend,) = PROJECT["build-system"]["requires"]
    lock = (ROOT / "locks/build.txt").read_text()
    assert lock.startswith(f"{backend} ")
    assert "--hash=sha256:" in lock
    docker = (ROOT / "Dockerfile").read_text()
    assert docker.count("--require-hashes") == 2
    assert "constraints.txt" not in docker


@pytest.mark.parametrize(
    ("base", "good"),
    [
        ("python:3.14-slim", False),
        ("python@sha256:abc", False),
        ("python:3.14-slim@sha256:" + "0a" * 32, True),
    ],
)
def test_a_release_is_built_on_a_base_that_is_named_by_its_digest(base: str, *, good: bool):
    """A tag is whatever the registry says today."""
    assert has_digest(base) is good
