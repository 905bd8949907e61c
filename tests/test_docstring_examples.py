"""Examples in docstrings that look like a session of Python are run: they say what is true."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import canary

ROOT = Path(canary.__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted(ROOT.glob("canary/**/*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    """A function whose result changed has a wrong example as well."""
    failed, tried = doctest.testmod(import_module(name))
    assert tried
    assert not failed
