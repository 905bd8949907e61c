"""docs/runbooks: a page for each reason that needs a person and each alert, and nothing invented in it."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import typer
import yaml

from canary.alerts import alert_names, build_groups
from canary.api import Reason, ReasonKind
from canary.cli.main import COMMANDS, build_app
from canary.demo.cluster.postgres import start_postgres
from canary.demo.cluster.processes import Supervisor
from canary.demo.cluster.workdir import work_directory
from canary.runbooks import runbook_url

PAGES = Path(__file__).parents[1] / "docs" / "runbooks"
DOCS = PAGES.parent
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
OTHERS = {"README", "auth-outage"}

HAS_A_PAGE = {
    reason for reason in Reason if reason.info.kind in {ReasonKind.HELD, ReasonKind.ROLLBACK}
}
"""For the others their own message, and `canary doctor`, say what to do."""

REFUSED = typer.BadParameter.__mro__[1]
"""What a wrong option, a missing and a superfluous argument have in common."""


def pages() -> list[Path]:
    """All of them."""
    return sorted(PAGES.glob("*.md"))


def blocks(language: str) -> list[object]:
    """Page and text of each block of code in this language."""
    fence = re.compile(rf"^ *```{language}\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
    return [
        pytest.param(found, id=f"{path.stem} {number}")
        for path in pages()
        for number, found in enumerate(fence.findall(path.read_text("utf-8")), 1)
    ]


def test_every_reason_that_stops_a_release_and_every_alert_has_its_page():
    """And no page is about anything else."""
    reasons = {str(reason) for reason in HAS_A_PAGE}
    assert {path.stem for path in pages()} == reasons | set(alert_names()) | OTHERS


def test_what_rolls_back_or_pauses_has_a_page():
    """As the rules of a release write it: the kinds above leave none of them out."""
    core = Path(__file__).parents[1] / "canary" / "core"
    text = "".join(path.read_text("utf-8") for path in sorted(core.rglob("*.py")))
    named = set(
        re.findall(r"(?:roll_back|inconclusive|pause)\(\s*(?:ctx, |context, )?Reason\.(\w+)", text)
    )
    assert {"ABORTED", "NEVER_READY", "DEADLINE_EXCEEDED", "CONTESTED"} <= named
    assert {Reason[name] for name in named} <= HAS_A_PAGE


@pytest.mark.parametrize("path", [pytest.param(one, id=one.stem) for one in pages()])
def test_a_page_has_its_four_parts_and_says_first_what_happened(path: Path):
    """A reason's page begins with the reason's own sentence, as people have just read it."""
    if path.stem == "README":
        return
    lines = path.read_text("utf-8").splitlines()
    parts = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert [part for part in parts if part in SECTIONS] == SECTIONS
    if path.stem in OTHERS:
        return
    assert parts == SECTIONS
    assert lines[0] == f"# {path.stem}"
    if path.stem in alert_names():
        assert lines[2].startswith("Alert: ")
    else:
        assert lines[2] == Reason(path.stem).info.sentence


def test_the_index_names_every_page_once():
    """And nothing that is not there."""
    index = (PAGES / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\)", index, re.MULTILINE)
    assert all(name == file for name, file in rows)
    assert sorted(name for name, _ in rows) == [
        path.stem for path in pages() if path.stem not in OTHERS
    ]
    assert "(auth-outage.md)" in index


def anchors(path: Path) -> set[str]:
    """As code hosts make them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(one, id=one.stem)
        for one in [*pages(), DOCS / "review-checklist.md", DOCS / "access.md"]
    ],
)
def test_every_link_leads_somewhere(path: Path):
    """Files and headings."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def commands(path: Path) -> Iterator[list[str]]:
    """Each `canary …` that a page tells people to type, as words."""
    text = path.read_text("utf-8")
    fences = re.findall(r"^ *```(?:sh|yaml)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line for fence in fences for line in fence.splitlines()]
    lines += re.findall(r"`(canary [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in lines:
        lexer = shlex.shlex(line.strip().removeprefix("- "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";|&<>()"):
                words.append(word)
                continue
            if words[:1] == ["canary"]:
                yield words[1:]
            words = []


def parsed(words: list[str]) -> typer.Context:
    """By the real program, without running anything."""
    name, *rest = words
    assert name in COMMANDS, f"canary {name}"
    group = typer.main.get_group(build_app([name]))
    return group.commands[name].make_context(name, rest)


def documents() -> list[Path]:
    """Pages with commands for people to paste."""
    return [*pages(), DOCS / "review-checklist.md", DOCS / "access.md"]


@pytest.mark.parametrize("path", [pytest.param(one, id=one.stem) for one in documents()])
def test_every_canary_command_is_one_that_exists(path: Path):
    """Name, flags and arguments are parsed by the program itself; a bare name only has to exist."""
    for words in commands(path):
        if len(words) == 1:
            assert words[0] in COMMANDS, words
        else:
            parsed(words)


@pytest.mark.parametrize("command", ["leaktest", "loadtest"])
def test_the_checks_among_the_examples_are_commands_that_exist(command: str):
    """A suspended CronJob each, whose Jobs a release runs."""
    text = (DOCS / "examples" / f"{command}-cronjob.yaml").read_text("utf-8")
    (job,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "CronJob"]
    assert job["spec"]["suspend"] is True
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == command
    words = container["args"] if command == "loadtest" else [*container["args"], "http://x"]
    parsed(words)


def test_a_command_that_does_not_exist_would_be_seen():
    """The test above can fail: a flag, a name, an argument too many."""
    for wrong in (["explain", "auth", "--why"], ["rollback", "auth"], ["status", "auth", "prod"]):
        with pytest.raises((REFUSED, AssertionError)):
            parsed(wrong)
    found = [words for path in pages() for words in commands(path)]
    assert len(found) > 60
    assert ["abort", "auth", "-n", "prod"] in found


@pytest.fixture(scope="module")
def database() -> Iterator[psycopg.Connection]:
    """A real PostgreSQL, for those who may see everything."""
    with work_directory() as room, Supervisor(room / "logs") as supervisor:
        postgres = start_postgres(supervisor, room / "pg", max_connections=10)
        with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
            yield connection


@pytest.mark.parametrize("statements", blocks("sql"))
def test_every_statement_runs_on_a_real_database(database: psycopg.Connection, statements: str):
    """Columns and functions are PostgreSQL's own."""
    for statement in filter(str.strip, statements.split(";")):
        database.execute(statement)


def test_every_query_is_promql(tmp_path: Path):
    """As Prometheus' own parser reads it; a block has one query per line, indented lines go on."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    queries = [
        query
        for param in blocks("promql")
        for query in re.split(r"\n(?!\s*[-+/*] )", param.values[0].strip())
    ]
    rules = [{"record": f"query:{number}", "expr": one} for number, one in enumerate(queries)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}), "utf-8")
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(queries) > 10


def test_recorded_series_are_those_of_the_rules():
    """What a page names `canary:…` is recorded by the rules of the alerts."""
    text = "".join(path.read_text("utf-8") for path in pages())
    named = set(re.findall(r"\bcanary:\w+:\w+", text))
    assert named
    assert named <= {rule.name for group in build_groups() for rule in group.rules}


def test_a_page_is_linked_by_its_name():
    """The same for reasons and alerts, at the base that the operator is told."""
    base = "https://wiki.example/canary/"
    assert runbook_url(Reason.CONNECTION_LEAK, base) == "https://wiki.example/canary/ConnectionLeak"
    assert runbook_url("PoolNearlyFull", base) == "https://wiki.example/canary/PoolNearlyFull"
