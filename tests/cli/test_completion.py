"""Tab: names from the cluster for each shell and for kubectl; soon, or nothing."""

import os
import subprocess
import sys
import threading

import pytest

from canary.cli import completion
from tests.cli.releases import store_release
from tests.kube.api_server import ApiServer

KUBECTL = "import sys; sys.argv[0] = 'kubectl_complete-canary'; from canary.cli.entry import complete; complete()"

LINES = [
    pytest.param(["status", ""], ["auth", "billing"], id="releases of the context's namespace"),
    pytest.param(["status", "b"], ["billing"], id="that begin like this"),
    pytest.param(["status", "-n", "staging", ""], ["web"], id="of the namespace in the line"),
    pytest.param(["abort", "auth", ""], ["billing"], id="without those that are there already"),
    pytest.param(["get", "-n", ""], ["prod", "staging"], id="namespaces"),
    pytest.param(["explain", "--context", ""], ["fake"], id="contexts"),
    pytest.param(["status", "zzz"], [], id="nothing that fits"),
]


@pytest.mark.parametrize(("words", "offered"), LINES)
def test_kubectl_plugin(words: list[str], offered: list[str], server: ApiServer) -> None:
    """Kubectl's convention: a line per suggestion, then the directive for no file names."""
    furnish(server)
    assert run("-c", KUBECTL, *words) == [*offered, ":4"]


SHELLS = [
    pytest.param({"_CANARY_COMPLETE": "complete_bash", "COMP_WORDS": "canary status ", "COMP_CWORD": "2"}, ["auth", "billing"], id="bash"),
    pytest.param({"_CANARY_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "canary status "}, ["_arguments '*: :((\"auth\"", "\"billing\"))'"], id="zsh"),
    pytest.param({"_CANARY_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": "canary status ", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, ["auth", "billing"], id="fish"),
]  # fmt: skip


@pytest.mark.parametrize(("environment", "offered"), SHELLS)
def test_shells(environment: dict[str, str], offered: list[str], server: ApiServer) -> None:
    """What the scripts of --show-completion ask for."""
    furnish(server)
    assert run("-m", "canary", **environment) == offered


def test_without_a_cluster_nothing_is_said(server: ApiServer) -> None:
    """An error on the prompt would be worse than no help."""
    server.close()
    assert run("-c", KUBECTL, "status", "") == [":4"]


def test_a_cluster_that_does_not_answer_is_not_waited_for() -> None:
    """After the time that a person waits, nothing is offered."""
    never = threading.Event()
    assert completion.read_within(lambda: ["late"] if never.wait(5) else [], 0.01) == []
    never.set()
    assert completion.read_within(lambda: ["b", "a"], 5) == ["a", "b"]


def furnish(server: ApiServer) -> None:
    """Releases in two namespaces."""
    for name, namespace in (("auth", "prod"), ("billing", "prod"), ("web", "staging")):
        store_release(server.cluster, "ready", name, namespace)


def run(*arguments: str, **environment: str) -> list[str]:
    """Lines on standard output; nothing may be on standard error."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"CANARY_COMPLETION_TIMEOUT": "60"} | environment,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()
