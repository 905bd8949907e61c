"""`canary notify`: shown without secrets, sent as a simulation, wrong input in one or two lines."""

from pathlib import Path

import pytest

from canary.api import Reason
from canary.cli import main as program
from canary.notify.dry_run import DRY_RUN_REASONS, ROLLBACK_REASONS, STUCK_REASONS, build_dry_run
from canary.notify.events import EventKind
from tests.notify.fixtures_messages import AT, KEY, ScriptedAnswer, WebhookReceiver, spec

SENTINEL = "S3NT1N3L"
RELEASE = Path(__file__).parents[2] / "docs/examples/auth.yaml"
FILE = """
receivers:
- {name: dba, groups: [pool], pagerduty: {secretRef: {name: pager, key: key}}}
- {name: chat, slack: {secretRef: {name: hooks, key: slack}}}
- {name: hook, webhook: {url: 'URL/hook', secretRef: {name: hooks, key: sign}}}
- {name: mail, apprise: {secretRef: {name: hooks, key: mail}}, groups: [promotion]}
- {name: alerts, alertmanager: {url: 'URL'}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The operator's receivers."""
    path = tmp_path / "notify.yaml"
    path.write_text(FILE.replace("URL", "http://127.0.0.1:9"))
    return path


@pytest.mark.parametrize("reason", sorted(DRY_RUN_REASONS))
def test_every_reason_is_the_news_that_it_would_be(reason: Reason) -> None:
    """A rollback for what rolls back, stuck for what needs a person; marked as a simulation."""
    event = build_dry_run(KEY, spec(), reason, AT)
    others = {
        Reason.PROMOTED: EventKind.PROMOTION,
        Reason.APPROVAL_NEEDED: EventKind.APPROVAL,
        Reason.STARTED: EventKind.START,
    }
    expected = (
        EventKind.ROLLBACK if reason in ROLLBACK_REASONS else others.get(reason, EventKind.STUCK)
    )
    assert event.kind is expected
    assert event.headline.startswith("Simulation, nothing happened: auth")
    assert not ROLLBACK_REASONS & STUCK_REASONS


def test_what_would_be_sent_is_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is told and who is not; the Secret's place instead of what is in it."""
    assert program.main(["notify", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "dba (pagerduty) is notified of ConnectionLeak:" in shown
    assert '"routing_key": "<pager/key>"' in shown
    assert "POST https://<hooks/slack>" in shown
    assert "webhook-signature: …" in shown
    assert "mail (apprise) is not notified of ConnectionLeak." in shown
    assert program.main(["notify", str(file), "--reason", "Promoted"]) == 0
    shown = capsys.readouterr().out
    assert "dba (pagerduty) is not notified of Promoted." in shown
    assert "TO <hooks/mail> (success)" in shown


def test_the_receivers_of_a_release(capsys: pytest.CaptureFixture[str]) -> None:
    """A CanaryRelease is shown with its own name and steps."""
    assert program.main(["notify", str(RELEASE), "--reason", "CrashLooping"]) == 0
    shown = capsys.readouterr().out
    assert "slack is notified of CrashLooping:" in shown
    assert "auth rolled back at 1 %" in shown


def test_a_simulation_is_sent_and_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To real receivers; the pager's incident is ended by a second call, the chat is not."""
    for name, text in (("hooks/sign", "k"), ("hooks/mail", "json://x"), ("pager/key", "R")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with WebhookReceiver(ScriptedAnswer(200)) as server:
        (tmp_path / "hooks/slack").write_text(f"{server.url}/{SENTINEL}")
        path = tmp_path / "notify.yaml"
        lines = [line for line in FILE.splitlines() if "pagerduty" not in line]
        path.write_text("\n".join(lines).replace("URL", server.url))
        arguments = ["notify", str(path), "--send", "--secrets", str(tmp_path)]
        assert program.main(arguments) == 0
        said = capsys.readouterr().out.splitlines()
        assert said == [
            "chat: delivered",
            "hook: delivered",
            "mail: not notified",
            "alerts: delivered",
        ]
        assert program.main([*arguments, "--resolve"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said == [
            "chat: not notified",
            "hook: not notified",
            "mail: not notified",
            "alerts: delivered",
        ]
        paths = [one.path for one in server.requests]
        begun, ended = (one.json()[0] for one in server.requests if one.path.startswith("/api"))
    assert paths == [f"/{SENTINEL}", "/hook", "/api/v2/alerts", "/api/v2/alerts"]
    assert begun["labels"] == ended["labels"]


def test_what_does_not_arrive_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, each receiver with its own reason, and no secret in it."""
    (tmp_path / "hooks").mkdir()
    with WebhookReceiver(ScriptedAnswer(404)) as server:
        (tmp_path / "hooks/slack").write_text(f"{server.url}/{SENTINEL}")
        arguments = ["notify", str(RELEASE), "--send", "--secrets", str(tmp_path)]
        assert program.main(arguments) == 1
    said = capsys.readouterr()
    assert (
        said.err
        == "slack: not delivered: HTTP 404: check that the content of the Secret is still valid\n"
    )
    assert SENTINEL not in said.out


WRONG = [
    pytest.param(
        "receivers: []", [], "receivers: expected at least one receiver", id="no receiver"
    ),
    pytest.param("a: 1", [], "unknown field 'a' (allowed: receivers, links)", id="another file"),
    pytest.param("kind: CanaryRelease", [], "is not a valid CanaryRelease", id="a bad release"),
    pytest.param(
        FILE.replace("URL", "http://x"),
        ["--reason", "ConectionLeak"],
        "unknown reason 'ConectionLeak'; did you mean ConnectionLeak?",
        id="a misspelt reason",
    ),
]


@pytest.mark.parametrize(("text", "flags", "words"), WRONG)
def test_wrong_input(
    tmp_path: Path, text: str, flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, what is expected, no traceback."""
    path = tmp_path / "notify.yaml"
    path.write_text(text)
    assert program.main(["notify", str(path), *flags]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
