"""Each rule of canary/rules against right and wrong code: samples/ID.yml.

In wrong code the one line that has to be found ends with `<- here`.
"""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from canary.gates.access import rules, scan

SAMPLES = Path(__file__).parent / "samples"
PACKAGE = Path(__file__).parents[2] / "canary"
MARK = "<- here"
RELATIVES = {"code.ts": ("code.ts", "code.tsx", "code.js")}
"""What is a rule for TypeScript is one for these as well."""


def samples():
    """Rule, name of the file, sentence, code, whether it is right."""
    for path in sorted(SAMPLES.glob("*.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for kind in ("right", "wrong"):
            for sentence, code in content[kind].items():
                for file in RELATIVES.get(content["file"], (content["file"],)):
                    yield path.stem, file, sentence, content["before"] + code, kind == "right"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Lines found by rule, file and sentence; ast-grep runs once for all."""
    root = tmp_path_factory.mktemp("samples")
    folders = {}
    for number, (rule, file, sentence, code, _) in enumerate(samples()):
        folder = root / str(number)
        folder.mkdir()
        (folder / file).write_text(code, encoding="utf-8")
        folders[str(folder / file)] = (rule, file, sentence)
    lines = {key: [] for key in folders.values()}
    for spot in scan([root]).spots:
        key = folders[spot.finding.file]
        if spot.finding.rule == key[0]:
            lines[key].append(spot.finding.line)
    return lines


@pytest.mark.parametrize(
    ("rule", "file", "sentence", "code", "right"),
    [
        pytest.param(*one, id=f"{one[0]}, {one[1]}, {'right' if one[4] else 'wrong'}: {one[2]}")
        for one in samples()
    ],
)
def test_a_rule_finds_the_wrong_line_and_nothing_else(found, rule, file, sentence, code, right):
    """Right code draws no finding; in wrong code exactly the marked line does."""
    marked = [number for number, line in enumerate(code.splitlines(), 1) if MARK in line]
    assert len(marked) == (0 if right else 1)
    assert found[rule, file, sentence] == marked


def test_every_rule_has_samples():
    """At least three right and three wrong ones, and no sample is without its rule."""
    counted = {}
    for rule, _, sentence, _, right in samples():
        counted.setdefault(rule, {True: set(), False: set()})[right].add(sentence)
    assert set(counted) == {rule.id for rule in rules()}
    for rule, kinds in counted.items():
        assert min(len(one) for one in kinds.values()) >= 3, rule


def test_every_rule_says_what_to_do():
    """A message of one line and a remedy; ids are unique and in order."""
    known = rules()
    assert all("\n" not in rule.message and "`" in rule.remedy for rule in known)
    assert all(one.id < other.id for one, other in pairwise(known))


def test_the_demo_s_service_breaks_the_rules_in_one_line_of_its_leaking_version():
    """The outage of the demo is what the rules are for, and the rest of the service passes."""
    scanned = scan([PACKAGE / "local" / "auth"])
    (spot,) = scanned.spots
    assert Path(spot.finding.file).name == "leaky.py"
    assert spot.finding.rule == "python-connection"
    assert spot.code == "connection = await pool.getconn()"
    assert scanned.files >= 8


def test_this_program_passes_its_own_rules():
    """But for that line nothing in the package is found."""
    assert len(scan([PACKAGE]).spots) == 1
