"""The operator's file of receivers, and what stands in a release: right, wrong, and in which words."""

from pathlib import Path

import pytest

from canary.api import SpecError, load_release
from canary.cli import main as program
from canary.errors import PermanentError, TransientError, UsageError
from canary.notify.config import NotifyFile, load_notify, load_receivers
from canary.notify.secrets import MountedSecrets
from tests.notify.fixtures_messages import RELEASE, entry, ref

FILE = """
links:
  dashboard: https://grafana.example/d/x?ns={namespace}
receivers:
- name: dba
  pagerduty: {secretRef: {name: pager, key: key}}
  groups: [pool]
- name: alerts
  alertmanager: {url: 'http://alertmanager:9093'}
  namespaces: [prod]
"""


def written(tmp_path: Path, text: str) -> Path:
    """A file with this text."""
    path = tmp_path / "notify.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    """Receivers as in a spec, with a name; and links."""
    loaded = load_notify(written(tmp_path, FILE))
    assert [(one.name, one.kind) for one in loaded.receivers] == [
        ("dba", "pagerduty"),
        ("alerts", "alertmanager"),
    ]
    assert loaded.pages().dashboard == "https://grafana.example/d/x?ns={namespace}"
    assert loaded.pages().pools is None


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_an_empty_file_is_nobody(tmp_path: Path, text: str) -> None:
    """Not an error: receivers may come later."""
    assert load_notify(written(tmp_path, text)) == NotifyFile()


WRONG = [
    pytest.param(
        "receivers: [{name: a, slak: {}}]",
        "unknown field 'slak'; did you mean slack?",
        id="a misspelt receiver",
    ),
    pytest.param(
        "receivers: [{name: a}]",
        "1:13: receivers[0]: expected exactly one of slack, teams, pagerduty, alertmanager, webhook, "
        "apprise, found none",
        id="no receiver",
    ),
    pytest.param(
        "receivers: [{slack: {secretRef: {name: a, key: b}}}]",
        "receivers[0].name: this field is required",
        id="no name",
    ),
    pytest.param(
        "receivers:\n- {name: a, webhook: {url: 'http://x'}}\n- {name: a, webhook: {url: 'http://y'}}",
        "receivers[1]",
        id="two of one name",
    ),
    pytest.param(
        "links: {pools: 'https://x/{pod}'}",
        "links.pools: expected only namespace, release, target, service, canary, version, from, to in braces, found 'pod'",
        id="a variable that nobody fills in",
    ),
    pytest.param("links: {pools: 'https://x/{'}", "matching braces", id="a brace too many"),
    pytest.param("links: {pools: grafana}", "a URL that starts with", id="no address"),
    pytest.param("a: 1\n---\nb: 2", "expected one YAML document, found 2", id="two documents"),
    pytest.param("receivers: {a: 1}", "expected a list", id="no list"),
    pytest.param("[", "notify.yaml:1", id="no YAML"),
    pytest.param("receivers: []\nreceivers: []", "notify.yaml:2:1", id="a key given twice"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_a_wrong_file(tmp_path: Path, text: str, words: str) -> None:
    """Said with line and column, what is expected and what was found."""
    with pytest.raises(UsageError) as caught:
        load_notify(written(tmp_path, text))
    assert words in str(caught.value)


def test_a_wrong_file_ends_the_operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 at its start, no traceback."""
    path = written(tmp_path, "receivers: [{name: a}]")
    assert program.main(["operator", "--notify-file", str(path)]) == 2
    said = capsys.readouterr().err
    assert "exactly one of slack" in said
    assert "Traceback" not in said
    assert program.main(["operator", "--notify-file", str(tmp_path / "none")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_a_secret_that_is_missing_is_said_at_the_start(tmp_path: Path) -> None:
    """And not in the first incident."""
    path = written(tmp_path, FILE)
    with pytest.raises(UsageError, match=r"receiver dba: .*cannot read .*pager/key"):
        load_receivers(path, tmp_path)
    (tmp_path / "pager").mkdir()
    (tmp_path / "pager/key").write_text("R0UT1NG\n")
    assert len(load_receivers(path, tmp_path).receivers) == 2
    assert load_receivers(None, tmp_path) == NotifyFile()


def test_mounted_secrets(tmp_path: Path) -> None:
    """A folder for each Secret, a file for each key; read anew, for they are rotated."""
    (tmp_path / "hooks").mkdir()
    file = tmp_path / "hooks/slack"
    where = entry(slack=ref("slack")).secret
    assert where is not None
    secrets = MountedSecrets(tmp_path)
    with pytest.raises(TransientError, match="cannot read"):
        secrets.read("prod", where)
    for text in ("https://one\n", "https://two"):
        file.write_text(text)
        assert secrets.read("prod", where) == text.strip()
    file.write_bytes(b"\xff S3NT1N3L")
    with pytest.raises(PermanentError) as caught:
        secrets.read("prod", where)
    assert "S3NT1N3L" not in str(caught.value)


def test_no_way_out_of_the_folder(tmp_path: Path) -> None:
    """A key of two dots is a folder, not a secret."""
    up = entry(slack=ref("..")).secret
    assert up is not None
    with pytest.raises(TransientError, match="cannot read"):
        MountedSecrets(tmp_path).read("prod", up)


SPECS = [
    pytest.param(
        "[{}]",
        "spec.notify[0]: expected exactly one of slack, teams, pagerduty, alertmanager, webhook, "
        "apprise, found none",
        id="no receiver",
    ),
    pytest.param(
        "[{slack: {secretRef: {name: a, key: b}}, teams: {secretRef: {name: a, key: b}}}]",
        "found slack and teams",
        id="two receivers",
    ),
    pytest.param("[{slack: 'https://hooks'}]", "a mapping (secretRef)", id="a secret in the spec"),
    pytest.param(
        "[{alertmanager: {}}]", "expected exactly one of url and secretRef, found none",
        id="no address",
    ),
    pytest.param(
        "[{alertmanager: {url: 'http://a', secretRef: {name: a, key: b}}}]", "found both",
        id="two addresses",
    ),
    pytest.param(
        "[{webhook: {url: 'http://a'}, reasons: [ConectionLeak]}]",
        "spec.notify[0].reasons[0]: expected a reason such as ConnectionLeak or NoData, "
        "found the text 'ConectionLeak'",
        id="a reason that does not exist",
    ),
    pytest.param(
        "[{webhook: {url: 'http://a'}, groups: [pools]}]",
        "expected 'pool', 'rollback', 'stuck', 'approval', 'promotion', 'start' or 'all'",
        id="a group that does not exist",
    ),
    pytest.param(
        "[{pagerduty: {secretRef: {name: a, key: b}, url: 'http://evil'}}]",
        "unknown field 'url'",
        id="no credential goes to an address that stands in a spec",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("notify", "words"), SPECS)
def test_wrong_receivers_of_a_release(notify: str, words: str) -> None:
    """The CRD says the same words; see canary/manifests/cel.py."""
    with pytest.raises(SpecError) as caught:
        load_release(RELEASE.replace("notify: []", f"notify: {notify}"), "tests")
    assert words in " ".join(one.where + ": " + one.message for one in caught.value.problems)
