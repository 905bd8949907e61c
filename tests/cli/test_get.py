"""`canary get`: what is listed, in which form, and what is said when there is nothing."""

import json
from pathlib import Path

import pytest
import yaml

from canary.kube.objects import RELEASES
from tests.cli.conftest import Run
from tests.cli.releases import store_release
from tests.http_server import Reply, reply_json
from tests.kube.api_server import ApiServer

TABLE = """\
NAME      PHASE         STEP   WEIGHT   VERDICT    REASON              AGE
auth      Progressing   2/3    25%      Continue   GatheringEvidence   60m
billing   Ready         -      0%       -          AtRest              60m
"""


def test_a_table_in_order(server: ApiServer, run: Run) -> None:
    """The columns of the definition, in the order of the names, for this namespace only."""
    store_release(server.cluster, "ready", "billing")
    store_release(server.cluster, "progressing")
    store_release(server.cluster, "ready", "auth", "staging")
    assert run("get").out == TABLE
    assert run("list").out == TABLE


def test_all_namespaces_have_a_column(server: ApiServer, run: Run) -> None:
    """With -A the namespace comes first."""
    store_release(server.cluster, "ready", "auth", "staging")
    store_release(server.cluster, "ready")
    lines = run("get", "-A").out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["NAMESPACE", "NAME"], ["prod", "auth"], ["staging", "auth"],
    ]  # fmt: skip


def test_wide_says_versions_and_message(server: ApiServer, run: Run) -> None:
    """Who is compared with whom, and why it is where it is."""
    store_release(server.cluster, "progressing")
    head, row = run("get", "-o", "wide").out.splitlines()
    assert head.split()[-4:] == ["TARGET", "STABLE", "CANARY", "MESSAGE"]
    assert "auth     0a1b2c3d4e5f   f3a9c1d2e4b5   errors: 1,560 more" in row


def test_nothing_is_no_error(server: ApiServer, run: Run) -> None:
    """As with kubectl: said on standard error, exit code 0."""
    said = run("get")
    assert (said.code, said.out) == (0, "")
    assert said.err == "No CanaryReleases found in namespace prod.\n"
    assert run("get", "-A").err == "No CanaryReleases found in any namespace.\n"
    assert server.asked["list", "canaryreleases"] == 2


def test_labels_are_chosen_by_the_server(server: ApiServer, run: Run) -> None:
    """-l goes out as it was typed."""
    store_release(server.cluster, "ready")
    assert (
        run("get", "-l", "team=id", "-o", "name").out
        == "canaryrelease.canary-controller.dev/auth\n"
    )
    assert run("get", "-l", "team=other").out == ""
    assert server.queries[-1]["labelSelector"] == "team=other"


def test_documents_are_the_cluster_objects(server: ApiServer, run: Run) -> None:
    """One by its name is the object, more are a List, each with its apiVersion."""
    stored = store_release(server.cluster, "ready")
    one = json.loads(run("get", "auth", "-o", "json").out)
    assert one == stored
    every = yaml.safe_load(run("get", "-o", "yaml").out)
    assert (every["kind"], every["items"]) == ("List", [stored])


NOT_THERE = [
    pytest.param(["get", "auht"], "there is no CanaryRelease auht in namespace prod; did you mean auth?", id="a name that is nearly right"),
    pytest.param(["get", "web"], "there is no CanaryRelease web in namespace prod, but there is one in staging: use -n staging", id="the wrong namespace"),
    pytest.param(["get", "auth", "-n", "prdo"], "there is no namespace prdo; did you mean prod?", id="a namespace that does not exist"),
    pytest.param(["get", "zzz"], "there is no CanaryRelease zzz in namespace prod (there are: auth)", id="nothing like it"),
    pytest.param(["get", "--context", "fqke"], "there is no context fqke in the kubeconfig; did you mean fake? (there are: fake)", id="a context that does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), NOT_THERE)
def test_what_is_not_there(arguments: list[str], said: str, server: ApiServer, run: Run) -> None:
    """One line says what there is instead; exit code 7."""
    store_release(server.cluster, "ready")
    store_release(server.cluster, "ready", "web", "staging")
    found = run(*arguments)
    assert (found.code, found.out, found.err) == (7, "", f"canary: {said}\n")


REFUSED = [
    pytest.param(403, 7, "cannot list canaryreleases in namespace prod: canaryreleases is forbidden", id="forbidden"),
    pytest.param(401, 7, "rejects the credentials of context fake: they are missing, invalid or expired", id="an expired token"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "exit_code", "said"), REFUSED)
def test_what_the_server_refuses(
    code: int, exit_code: int, said: str, server: ApiServer, run: Run
) -> None:
    """Rights and credentials are exit code 7, with what to do."""
    server.refuse["list"] = code
    found = run("get")
    assert found.code == exit_code
    assert said in found.err
    assert len(found.err.splitlines()) == 1


HTML = {"Content-Type": "text/html"}
PAGES = [
    pytest.param(Reply(b"<p>log in", 200, HTML), "expected an object in JSON, found text/html; is this", id="a login page"),
    pytest.param(reply_json([1]), "expected an object in JSON, found application/json", id="a list"),
    pytest.param(Reply(b"<p>" * 500, 502, HTML), "HTTP 502: <p><p>", id="a gateway's long page"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "said"), PAGES)
def test_what_is_no_api_server(page: Reply, said: str, server: ApiServer, run: Run) -> None:
    """A proxy or a login page in its place is one short line, and no bug of ours."""
    server.page = page
    found = run("get")
    assert (found.code, len(found.err.splitlines())) == (1, 1)
    assert said in found.err
    assert len(found.err) < 300


def test_without_the_definition(server: ApiServer, run: Run) -> None:
    """The message says how to install it."""
    server.cluster.unserved.add(RELEASES)
    found = run("get", "auth")
    assert found.code == 7
    assert found.err.endswith("install it: canary manifests crd | kubectl apply -f -\n")


def test_no_cluster(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubeconfig, a missing one, and one whose server is down are each one line."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    found = run("get")
    assert (found.code, len(found.err.splitlines())) == (1, 1)
    assert "no cluster is configured" in found.err
    found = run("get", "--kubeconfig", str(tmp_path / "gone"))
    assert (found.code, len(found.err.splitlines())) == (7, 1)


def test_a_server_that_is_down(server: ApiServer, run: Run) -> None:
    """Said after a short try, with exit code 1."""
    server.close()
    found = run("get")
    assert found.code == 1
    assert "check that the cluster of context fake is running and is the intended one" in found.err


USAGE = [
    pytest.param(["get", "-o", "xml"], "-o: expected one of wide, name, json, yaml, found 'xml'", id="an unknown format"),
    pytest.param(["get", "auth", "-A"], "names cannot be combined with -A or -l", id="a name in all namespaces"),
    pytest.param(["get", "-w", "-o", "json"], "-w can only be combined with -o wide", id="a watch for machines"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), USAGE)
def test_wrong_usage(arguments: list[str], said: str, run: Run) -> None:
    """Exit code 2, before the cluster is asked."""
    found = run(*arguments)
    assert found.code == 2
    assert said in found.err


def test_several_kubeconfig_files(
    server: ApiServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with kubectl: the first file that names something wins, missing ones are skipped."""
    store_release(server.cluster, "ready", "web", "staging")
    first = tmp_path / "first"
    context = {
        "name": "other",
        "context": {"cluster": "fake", "user": "me", "namespace": "staging"},
    }
    first.write_text(yaml.safe_dump({"current-context": "other", "contexts": [context]}))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'gone'}:{tmp_path / 'config'}")
    assert run("get", "-o", "name").out == "canaryrelease.canary-controller.dev/web\n"
    assert run("get", "--context", "fake").err == "No CanaryReleases found in namespace prod.\n"
