"""Which cluster is meant: kubeconfig files, contexts, pods; and what is said when none can be."""

from pathlib import Path

import pytest
import yaml

from canary.cli import kubeconfig
from canary.errors import CanaryError, ExitCode

CONTEXT = {"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "team"}}


@pytest.fixture(autouse=True)
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration but what the test writes."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))


def write(folder: Path, **content: object) -> None:
    """The file of $KUBECONFIG."""
    (folder / "config").write_text(yaml.safe_dump(content))


def test_the_current_context_and_its_namespace(tmp_path: Path) -> None:
    """-n outranks the context's, which outranks `default`."""
    other = {"name": "b", "context": {"cluster": "c", "user": "u"}}
    write(tmp_path, **{"current-context": "a", "contexts": [CONTEXT, other]})
    assert kubeconfig.resolve_cluster(None, None, None).namespace == "team"
    assert kubeconfig.resolve_cluster(None, None, "mine").namespace == "mine"
    assert kubeconfig.resolve_cluster(None, "b", None).namespace == "default"
    assert kubeconfig.list_contexts() == ["a", "b"]


def test_in_a_pod(tmp_path: Path) -> None:
    """Without a file the service account's; with one, the file's, as kubectl has it."""
    pod = tmp_path / "pod"
    pod.mkdir()
    (pod / "token").write_text("secret")
    (pod / "namespace").write_text("jobs\n")
    found = kubeconfig.resolve_cluster(None, None, None, pod)
    assert (found.files, found.context, found.namespace) == (None, None, "jobs")
    write(tmp_path, **{"current-context": "a", "contexts": [CONTEXT]})
    assert kubeconfig.resolve_cluster(None, None, None, pod).context == "a"


WRONG = [
    pytest.param("{", None, "config: not YAML", ExitCode.ERROR, id="broken YAML"),
    pytest.param("[]", None, "expected an object", ExitCode.ERROR, id="a list"),
    pytest.param("contexts: [{name: a, context: {}}]", None, "no context is selected: set --context to one of a", ExitCode.ERROR, id="no current context"),
    pytest.param("{}", None, "no contexts; select another file with --kubeconfig", ExitCode.ERROR, id="an empty file"),
    pytest.param("contexts: 5", None, "contexts: expected a list", ExitCode.ERROR, id="contexts that are none"),
    pytest.param("#" * (4 << 20) + "#", None, "expected at most 4 MiB, found more", ExitCode.ERROR, id="a huge file"),
    pytest.param("contexts: [{name: prod, context: {}}]", "prd", "did you mean prod?", ExitCode.NOT_FOUND, id="an unknown context"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "context", "said", "code"), WRONG)
def test_files_that_do_not_do(
    text: str, context: str | None, said: str, code: ExitCode, tmp_path: Path
) -> None:
    """What is wrong, and what to give instead."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(CanaryError) as error:
        kubeconfig.resolve_cluster(None, context, None)
    assert said in str(error.value)
    assert error.value.exit_code == code


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """A directory, for one."""
    (tmp_path / "config").mkdir()
    with pytest.raises(CanaryError, match="cannot read the kubeconfig"):
        kubeconfig.resolve_cluster(None, None, None)
