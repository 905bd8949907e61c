"""Each rule of canary/access/rules against right and wrong code: samples/ID.yml.

In wrong code the one line that has to be found ends with `<- here`.
"""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from canary.access.scan import load_rules, scan_paths

SAMPLES = Path(__file__).parent / "samples"
PACKAGE = Path(__file__).parents[2] / "canary"
MARK = "<- here"
RELATIVES = {"code.ts": ("code.ts", "code.tsx", "code.js")}
"""What is a rule for TypeScript is one for these as well."""

LARGE = {
    ".py": "import sqlalchemy\ndef large(client):\nCODE",
    ".go": 'package large\nimport "database/sql"\nfunc large() {\nCODE}\n',
    ".java": "import java.sql.Connection;\nclass Code { void large() {\nCODE} }\n",
    ".ts": "import { Pool } from 'pg'\nfunction large(client) {\nCODE}\n",
}


class Sample(NamedTuple):
    """One piece of code for one rule."""

    rule: str
    file: str
    sentence: str
    code: str
    right: bool


def samples():
    """All of them, once for each language that the rule is for."""
    for path in sorted(SAMPLES.glob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for kind in ("right", "wrong"):
            for sentence, code in content[kind].items():
                for file in RELATIVES.get(content["file"], (content["file"],)):
                    yield Sample(
                        path.stem, file, sentence, content["before"] + code, kind == "right"
                    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Lines found for each sample; ast-grep runs once for all."""
    root = tmp_path_factory.mktemp("samples")
    places = {}
    for number, sample in enumerate(samples()):
        path = root / str(number) / sample.file
        path.parent.mkdir()
        path.write_text(sample.code, encoding="utf-8")
        places[str(path)] = sample
    lines = {sample: [] for sample in places.values()}
    for spot in scan_paths([root]).spots:
        sample = places[spot.finding.file]
        if spot.finding.rule == sample.rule:
            lines[sample].append(spot.finding.line)
    return lines


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(
            one, id=f"{one.rule}, {one.file}, {'right' if one.right else 'wrong'}: {one.sentence}"
        )
        for one in samples()
    ],
)
def test_a_rule_finds_the_wrong_line_and_nothing_else(found, sample):
    """Right code draws no finding; in wrong code exactly the marked line does."""
    marked = [number for number, line in enumerate(sample.code.splitlines(), 1) if MARK in line]
    assert len(marked) == (0 if sample.right else 1)
    assert found[sample] == marked


def test_every_rule_has_samples():
    """At least three right and three wrong ones, and no sample is without its rule."""
    counted = {}
    for one in samples():
        counted.setdefault(one.rule, {True: set(), False: set()})[one.right].add(one.sentence)
    assert set(counted) == {rule.id for rule in load_rules()}
    for rule, kinds in counted.items():
        assert min(len(one) for one in kinds.values()) >= 3, rule


def test_every_rule_says_what_to_do():
    """A message of one line and a remedy; ids are unique and in order."""
    known = load_rules()
    assert all("\n" not in rule.message and "`" in rule.remedy for rule in known)
    assert all(one.id < other.id for one, other in pairwise(known))


def test_the_demo_s_service_breaks_the_rules_in_one_line_of_its_leaking_version():
    """The outage of the demo is what the rules are for, and the rest of the service passes."""
    scanned = scan_paths([PACKAGE / "demo" / "auth"])
    (spot,) = scanned.spots
    assert Path(spot.finding.file).name == "leaky.py"
    assert spot.finding.rule == "python-connection"
    assert spot.code == "connection = await pool.getconn()"
    assert scanned.files >= 8


def test_this_program_passes_its_own_rules():
    """But for that line nothing in the package is found."""
    assert len(scan_paths([PACKAGE]).spots) == 1


@pytest.mark.parametrize("file", ["code.py", "code.go", "Code.java", "code.ts"])
def test_a_large_file_is_looked_at_once(file, tmp_path):
    """What has to be looked up in the whole file is asked last: else 5,000 calls take minutes."""
    lines = "".join(f"  run({number}, client.query(1));\n" for number in range(5_000))
    path = tmp_path / file
    path.write_text(LARGE[path.suffix].replace("CODE", lines), encoding="utf-8")
    found = scan_paths([path], timeout=30.0)
    assert (found.files, found.spots) == (1, ())
