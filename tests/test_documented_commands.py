"""The commands of the documentation: each is run by an end-to-end test, or says why it is not."""

import re
from pathlib import Path

from tools.documented_commands import ROOT, pages, read_blocks

INSTALL = ROOT / "docs/install.md"


def write(folder: Path, text: str) -> Path:
    """A page of its own."""
    path = folder / "page.md"
    path.write_text(text, "utf-8")
    return path


def test_a_block_has_its_section_its_line_and_what_the_comment_before_it_says(tmp_path: Path):
    """Other languages are no commands, and a # in a block is no heading."""
    path = write(
        tmp_path,
        "# One\n\n```sh\n# a comment\ncanary get\n```\n\n## Two\n```yaml\na: 1\n```\n"
        "<!-- not run: takes an hour -->\n```sh\nsleep 3600\n```\n"
        "<!-- needs docker -->\n```sh\ndocker info\n```\n",
    )
    first, second, third = read_blocks(path, root=tmp_path)
    assert (first.heading, first.line, first.script) == ("One", 4, "# a comment\ncanary get\n")
    assert (second.heading, second.reason, second.needs) == ("Two", "takes an hour", None)
    assert (third.reason, third.needs) == (None, "docker")


def test_every_comment_about_a_block_stands_right_before_it():
    """One that is misspelt or misplaced would be read as nothing."""
    for page in pages():
        text = page.read_text("utf-8")
        marks = re.findall(r"^ *<!-- (?:not run|needs)", text, re.MULTILINE)
        assert len(marks) == sum(bool(one.reason or one.needs) for one in read_blocks(page)), page


def test_every_section_of_the_install_page_is_followed_by_a_test():
    """They exclude each other, so a test names each of them."""
    test = (ROOT / "e2e/test_install_page.py").read_text("utf-8")
    fixtures = (ROOT / "e2e/fixtures_documented.py").read_text("utf-8")
    headings = {one.heading for one in read_blocks(INSTALL) if not one.reason and not one.needs}
    named = {one for one in headings if f'"{one}"' in test + fixtures}
    methods = {f"Uninstall with {one}" for one in ("Helm", "kustomize")}
    assert headings == named | methods
