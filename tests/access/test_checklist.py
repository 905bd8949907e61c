"""docs/review-checklist.md: its right code is right, and its wrong code wrong, by our own rules."""

import re
from pathlib import Path
from textwrap import indent

import pytest

from canary.access.scan import ScanResult, scan_paths

CHECKLIST = Path(__file__).parents[2] / "docs" / "review-checklist.md"
FRAMES = {
    "python": ("code.py", "from sqlalchemy.orm import Session\nasync def run():\nCODE"),
    "java": ("Code.java", "class Code { void run() throws Exception {\nCODE\n} }"),
    "go": ("code.go", 'package code\nimport "database/sql"\nfunc run() error {\nCODE\n}'),
    "javascript": ("code.js", "import { Pool } from 'pg'\nasync function run() {\nCODE\n}"),
}
"""What a piece of a page needs to be a program: file and frame."""


def pieces() -> list[object]:
    """Each block of code: driver, language, code, whether it is right."""
    found, driver = [], ""
    for line_or_block in re.findall(
        r"^## [^\n]*$|^```\w+\n.*?^```$", CHECKLIST.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        if line_or_block.startswith("## "):
            driver = line_or_block.removeprefix("## ")
            continue
        language, code = line_or_block.removeprefix("```").removesuffix("```").split("\n", 1)
        kind = re.match(r"(?:#|//) (right|wrong)", code)
        assert kind is not None, code
        right = kind[1] == "right"
        found.append(pytest.param(language, code, right, id=f"{driver}, {kind[1]}"))
    return found


def judged(language: str, code: str, folder: Path) -> ScanResult:
    """The code in its frame, by all rules."""
    name, frame = FRAMES[language]
    (folder / name).write_text(frame.replace("CODE", indent(code, "    ")), "utf-8")
    return scan_paths([folder])


@pytest.mark.parametrize(("language", "code", "right"), pieces())
def test_the_code_of_the_checklist_is_what_it_says(
    tmp_path: Path,
    language: str,
    code: str,
    right: bool,  # noqa: FBT001 - a table's column
):
    """Nothing is found in right code; in wrong code at least one line is."""
    assert bool(judged(language, code, tmp_path).spots) is not right


def test_five_drivers_have_right_and_wrong_code():
    """psycopg, SQLAlchemy, HikariCP, database/sql, node-postgres."""
    assert len(pieces()) == 10
