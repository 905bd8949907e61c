"""Where artefacts go, and what happens when they cannot."""

import io
import json
import os
import threading

import pytest

from canary.api import Verdict
from canary.cli.options import ResultFormat, build_artifacts
from canary.errors import ExitCode, UsageError
from canary.results.gate_result import GateResult, ResultCase
from canary.results.publishing import STEP_LIMIT, Artifacts, publish, render_text, write_atomically
from tests.results.sample_results import FAILED, PASSED


def test_everything_is_written_at_once(tmp_path):
    """All files, the result on the stream, and the outcome's exit code."""
    out = io.StringIO()
    chosen = build_artifacts(
        tmp_path / "new" / "junit.xml",
        tmp_path / "summary.md",
        tmp_path / "gl.json",
        ResultFormat.TEXT,
        {"GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"), "GITHUB_ACTIONS": "true"},
    )
    assert publish(FAILED, chosen, out) is ExitCode.FAILED
    assert (tmp_path / "new" / "junit.xml").read_text().startswith("<?xml")
    assert (tmp_path / "summary.md").read_text() == (tmp_path / "step.md").read_text()
    assert len(json.loads((tmp_path / "gl.json").read_text())) == 3
    assert "::error title=" in out.getvalue()
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "gl.json",
        "new",
        "step.md",
        "summary.md",
    ]


def test_a_terminal_breaks_lines_between_words():
    """Sentences go on under themselves; what is to be pasted is one line; a pipe gets all of it."""
    sentence = "seen in every release, and a long way before the hold of the first step was over"
    case = ResultCase("fault", Verdict.PASS, sentence)
    paste = "canary explain auth -n a-namespace-with-a-long-name-that-fits-no-terminal"
    found = GateResult("gate", "prod/auth", ExitCode.OK, "short", (case,), next_steps=(paste,))
    lines = render_text(found, 60).splitlines()
    assert [len(line) <= 60 for line in lines[:-1]] == [True] * (len(lines) - 1)
    assert " ".join(" ".join(lines[1:-1]).split()) == f"Pass fault {sentence}"
    assert lines[2].startswith(" " * 21)
    assert lines[-1] == f"  → {paste}"
    assert len(render_text(found).splitlines()) == 3


def test_json_on_the_stream_stays_json(capsys):
    """Annotations go to standard error when standard output is a document."""
    out = io.StringIO()
    publish(FAILED, Artifacts(as_json=True, annotate=True), out)
    assert json.loads(out.getvalue())["result"] == "Failed"
    assert capsys.readouterr().err.startswith("::error title=")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        pytest.param(PASSED, ExitCode.ERROR, id="a pass without its file is no pass"),
        pytest.param(FAILED, ExitCode.FAILED, id="a failure stays a failure"),
    ],
)
def test_a_file_that_cannot_be_written_is_said(outcome, code, tmp_path, capsys):
    """The disk is full, the directory went away: the verdict is still printed."""
    out = io.StringIO()
    lost = Artifacts(junit=tmp_path / "gone" / "junit.xml")
    assert publish(outcome, lost, out) is code
    assert "prod/auth" in out.getvalue()
    assert "junit.xml: No such file" in capsys.readouterr().err


def test_files_are_there_though_the_reader_of_the_result_left(tmp_path):
    """`canary gate … | head` still leaves its reports."""

    class Left(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        publish(FAILED, Artifacts(junit=tmp_path / "junit.xml"), Left())
    assert (tmp_path / "junit.xml").read_text().startswith("<?xml")


def test_a_file_is_never_half_written(tmp_path):
    """A write that fails leaves what was there, and no litter."""
    path = tmp_path / "junit.xml"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "half \ud800")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    """What it points at is replaced."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_to(tmp_path):
    """`--junit >(…)` works: what is no regular file is not replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_atomically, args=(pipe, "through"), daemon=True)
    writer.start()
    assert pipe.read_text() == "through"
    writer.join(5)


def test_the_step_summary_is_appended_to_within_its_limit(tmp_path):
    """What other commands of the step wrote stays, and GitHub still shows all of it."""
    step = tmp_path / "step.md"
    publish(PASSED, Artifacts(step_summary=step), io.StringIO())
    publish(PASSED, Artifacts(step_summary=step), io.StringIO())
    assert step.read_text().count("## ✅ canary gate") == 2
    step.write_text("x" * (STEP_LIMIT - 120))
    publish(FAILED, Artifacts(step_summary=step), io.StringIO())
    assert step.stat().st_size <= STEP_LIMIT
    assert "Truncated" in step.read_text()


def test_a_step_summary_that_cannot_be_written_stops_nothing(tmp_path):
    """Nobody asked for it by name, and a release is not failed for it."""
    lost = Artifacts(step_summary=tmp_path / "gone" / "step.md")
    assert publish(PASSED, lost, io.StringIO()) is ExitCode.OK


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("", "found a directory", id="a directory"),
        pytest.param("file/junit.xml", "cannot create", id="below a file"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_wait(name, said, tmp_path):
    """A gate that waits for an hour looks first, and names the option."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=f"--junit: .*{said}"):
        build_artifacts(tmp_path / name, None, None, ResultFormat.TEXT, {})
