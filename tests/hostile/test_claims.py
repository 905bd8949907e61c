"""docs/security.md: a claim names the test that shows it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TESTS = frozenset(
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^ *def (test_\w+)", file.read_text(), re.MULTILINE)
)


def _claims() -> list[str]:
    text = (ROOT / "docs" / "security.md").read_text()
    parts = re.split(r"^- ", text.partition("\n## ")[2], flags=re.MULTILINE)[1:]
    return [re.split(r"\n\n|\n#", part)[0] for part in parts]


def test_every_claim_of_the_security_page_names_tests_that_exist():
    """A claim is an item of a list below a heading."""
    claims = _claims()
    assert claims
    for claim in claims:
        named = re.findall(r"`(test_\w+)`", claim)
        assert named, f"a test in backquotes is expected for the claim: {claim}"
        assert set(named) <= _TESTS, f"missing: {set(named) - _TESTS}"
