"""Names and sentences of the project use the vocabulary of Kubernetes and Prometheus.

docs/glossary.md has the words. Here are those that nobody outside the project understood, so that they do not come back.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "canary"
SOURCES = ("canary", "tests", "e2e", "bench", "tools")
NAMES = frozenset({
    "Compared", "Deed", "Doors", "Film", "Frame", "Judged", "Latecomers", "Letter", "Life",
    "Look", "News", "Parcel", "Patient", "PutBack", "Quest", "Scene", "Scenery", "Shelf", "Sight",
    "Stage", "Town", "Usual", "Vigil", "Wish",
})  # fmt: skip
PHRASES = (
    "passed over", "gone on with", "rights that do not do", "what the news are", "is told of",
    "nobody can be asked", "nobody has thought of", "not every thing", "is no list", "is no number",
    "as one would wish", "the least important lines", "is expected, found", "are expected, found",
    "could not be asked", "cannot be asked", "promoted all the same", "all of it as numbers",
)  # fmt: skip
"""Lower case; wherever a person reads: docstrings, messages, pages."""


def _files(pattern: str, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob(pattern))


def _defined_names(file: Path) -> Iterator[str]:
    """The module, the types at its top level, and in the package the functions as well."""
    yield file.stem
    for node in ast.parse(file.read_text("utf-8")).body:
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.ClassDef) or (is_function and file.is_relative_to(PACKAGE)):
            yield node.name


def test_no_module_type_or_function_has_a_banned_name():
    """A name that a reader has to look up is replaced by the standard term."""
    found = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in _files("*.py", *SOURCES)
        for name in _defined_names(file)
        if name.strip("_").title().replace("_", "") in {one.title() for one in NAMES}
    ]
    assert found == []


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_sentence_has_a_banned_phrase(phrase):
    """Phrases that a reader has to read twice are replaced by plain ones."""
    pages = [*_files("*.py", "canary"), *_files("*.md", "docs"), ROOT / "README.md"]
    found = [
        str(page.relative_to(ROOT))
        for page in pages
        if phrase in re.sub(r"\s+", " ", page.read_text("utf-8").lower())
    ]
    assert found == []


def test_no_docstring_is_a_unit_or_a_fragment_without_subject():
    """A docstring says what it describes: "Timeout in seconds.", not "Seconds."."""
    unit = re.compile(
        r"^(?:Of (?:the|its|this)\b|Those |That |Says |(?:Seconds|Bytes|Pixels|Percent)\.$)"
    )
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.value.value}"
        for file in _files("*.py", "canary")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and unit.match(node.value.value)
    ]
    assert found == []


def test_every_path_in_the_architecture_page_exists():
    """`docs/architecture.md` is where a newcomer starts, so it names what there is."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    paths = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?)`", page))
    missing = [
        one for one in sorted(paths) if not any(_exists(base, one) for base in ("", "canary"))
    ]
    assert len(paths) > 30
    assert missing == []


def test_every_module_that_the_architecture_page_names_exists():
    """A name in backticks is a module, a package, a function or a type of this repository."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    names = set(re.findall(r"`([a-z_]{3,})`", page)) - {"kubernetes"}
    there = {file.stem for file in _files("*.py", "canary", "tools")}
    there |= {file.parent.name for file in _files("__init__.py", "canary")}
    for file in _files("*.py", "canary"):
        there |= set(_defined_names(file))
    assert len(names) > 100
    assert sorted(names - there) == []


def _exists(base: str, path: str) -> bool:
    file = ROOT / base / path
    return file.exists() or file.with_suffix(".py").exists()
