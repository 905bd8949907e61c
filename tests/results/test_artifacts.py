"""What gates leave behind, as its readers read it."""

import json
from pathlib import Path

import pytest
import xmlschema
from junitparser import JUnitXml

from canary.errors import ExitCode
from canary.results.annotations import render_github, render_gitlab
from canary.results.json_document import render_json
from canary.results.junit import render_junit
from canary.results.markdown import render_markdown, truncate_markdown
from canary.results.marks import RESULT_NAMES
from canary.results.publishing import render_text
from tests.results.sample_results import ALL, FAILED, HOSTILE, PASSED, PAUSED, TIMED_OUT

HERE = Path(__file__).parent
ids = [RESULT_NAMES[one.code] if one is not HOSTILE else "hostile" for one in ALL]


@pytest.mark.parametrize("outcome", ALL, ids=ids)
def test_jenkins_accepts_the_junit_file(outcome):
    """Every outcome, however nasty its texts, is valid for Jenkins."""
    xmlschema.XMLSchema(HERE / "jenkins-junit.xsd").validate(render_junit(outcome))


def test_each_case_is_one_test_case():
    """Fail is a failure, missing data an error, what was not judged to its end skipped."""
    suites = JUnitXml.fromstring(render_junit(FAILED).encode())
    (suite,) = suites
    assert (suites.tests, suites.failures, suites.errors, suites.skipped) == (5, 1, 2, 1)
    found = {case.name: [type(one).__name__ for one in case.result] for case in suite}
    assert found == {
        "errors": [],
        "pool": ["Failure"],
        "slow": ["Skipped"],
        "queue": ["Error"],
        "cpu": ["Error"],
    }
    assert suites.time == 61.5
    assert "leaked: 4" in next(case for case in suite if case.name == "pool").system_out


@pytest.mark.parametrize("outcome", [TIMED_OUT, PAUSED], ids=["no cases", "no case is to blame"])
def test_a_gate_that_did_not_pass_is_red(outcome):
    """A viewer of tests must not show green where the pipeline stopped."""
    suites = JUnitXml.fromstring(render_junit(outcome).encode())
    assert suites.failures + suites.errors == 1
    assert [case.name for case in next(iter(suites))][-1] == "outcome"


def test_a_gate_that_passed_is_green():
    """A pass has no red case, and one test case per case."""
    suites = JUnitXml.fromstring(render_junit(PASSED).encode())
    assert (suites.tests, suites.failures, suites.errors, suites.skipped) == (1, 0, 0, 0)


def test_text_survives_in_xml():
    """Markup stays text; what XML cannot hold is visibly replaced."""
    (suite,) = JUnitXml.fromstring(render_junit(HOSTILE).encode())
    (trouble,) = next(iter(suite)).result
    assert trouble.message.startswith("50 %, a:b �[31m<b>&]]>|`*_ ��� ::error::")


@pytest.mark.parametrize("outcome", ALL, ids=ids)
def test_the_document_is_strict_json(outcome):
    """No NaN, no infinity, the same members always."""

    def refuse(constant):
        raise AssertionError(constant)

    told = render_json(outcome)
    read = json.loads(told, parse_constant=refuse)
    told.encode("utf-8", "surrogatepass")
    assert list(read) == [
        "schemaVersion",
        "command",
        "subject",
        "result",
        "exitCode",
        "headline",
        "seconds",
        "facts",
        "cases",
        "nextSteps",
    ]
    assert (read["schemaVersion"], read["exitCode"]) == (1, outcome.code)


def test_every_exit_code_has_a_word():
    """A new exit code cannot be forgotten in the documents."""
    assert set(RESULT_NAMES) == set(ExitCode)


def test_github_unescapes_what_was_said():
    """Each command is one line; unescaping gives back what was said."""
    lines = render_github(HOSTILE).splitlines()
    assert len(lines) == 2
    head, _, data = lines[0].removeprefix("::").partition("::")
    level, _, properties = head.partition(" ")
    pairs = dict(one.split("=", 1) for one in properties.split(","))
    assert level == "error"
    assert pairs["file"] == "deploy/a%2Cb%3Ac.yaml"
    assert "a%3Ab" in pairs["title"]
    assert data.startswith("50 %25, a:b%0D%0A")


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        pytest.param(PASSED, "notice", id="a pass is worth a notice"),
        pytest.param(FAILED, "error", id="a failure is an error"),
        pytest.param(PAUSED, "warning", id="a pause is a warning"),
    ],
)
def test_the_level_of_an_annotation(outcome, level):
    """How loud it is depends on how it ended."""
    assert render_github(outcome).startswith(f"::{level} title=canary gate%3A prod/auth::")


def test_github_gets_no_more_than_it_shows():
    """Ten annotations at most."""
    many = PASSED.cases[0].__class__("a", FAILED.cases[1].verdict, "bad")
    outcome = FAILED.__class__("gate", "x", ExitCode.FAILED, "bad", (many,) * 40)
    assert len(render_github(outcome).splitlines()) == 10


def test_gitlab_gets_findings_with_stable_fingerprints():
    """One finding per case to blame, each its own; none after a pass; the figures do not count."""
    found = json.loads(render_gitlab(FAILED))
    assert [one["severity"] for one in found] == ["critical", "major", "major"]
    assert len({one["fingerprint"] for one in found}) == 3
    assert found[0]["location"] == {"path": "prod/auth", "lines": {"begin": 1}}
    assert set(found[0]) == {"description", "check_name", "fingerprint", "severity", "location"}
    assert json.loads(render_gitlab(PASSED)) == []
    assert len(json.loads(render_gitlab(TIMED_OUT))) == 1


def test_markdown_is_not_changed_by_what_it_says():
    """A table stays a table, HTML stays text, and nobody is mentioned."""
    told = render_markdown(HOSTILE)
    rows = [line for line in told.splitlines() if line.startswith("| ❌")]
    assert len(rows) == 1
    assert rows[0].replace(r"\|", "").count("|") == 5
    assert "<b>" not in told
    assert r"\@team" in told


def test_markdown_offers_commands_to_paste():
    """Commands are code, links are links."""
    lines = render_markdown(FAILED).splitlines()
    assert "- `canary explain auth -n prod`" in lines
    assert "- https://canary-controller.dev/runbooks/ConnectionLeak" in lines


def test_a_long_summary_is_cut_after_a_line():
    """What is cut says so, never splits a character, and keeps within the limit."""
    whole = "ä" * 50 + "\n" + "ö" * 50 + "\n" + "ü" * 400
    cut = truncate_markdown(whole, 300)
    assert cut.startswith("ä" * 50 + "\n" + "ö" * 50 + "\n\n*Truncated")
    assert len(cut.encode()) <= 300
    assert truncate_markdown(whole, 10) == ""
    assert truncate_markdown("short", 10) == "short"


def test_text_for_people():
    """One line for the whole, one per case, one per step to take."""
    assert render_text(FAILED).splitlines() == [
        "prod/auth: rolled back: ConnectionLeak",
        "  Pass        errors  0.1 % fails",
        "  Fail        pool    4 connections are never given back",
        "  Continue    slow    too few requests yet",
        "  NoData      queue   nothing is there",
        "  Unavailable cpu     the monitoring does not answer",
        "  → canary explain auth -n prod",
        "  → https://canary-controller.dev/runbooks/ConnectionLeak",
    ]


def test_nothing_reaches_a_terminal_raw():
    """No escape sequence and no line that GitHub would take for a command."""
    lines = render_text(HOSTILE).splitlines()
    assert "\x1b" not in render_text(HOSTILE)
    assert "##[" not in render_text(HOSTILE)
    assert not any(line.lstrip().startswith("::") for line in lines)
