"""`promote`, `pause`, `resume`, `abort`, `retry`: what makes sense when, and what is written."""

import json
from typing import Any

import pytest

from canary.api import Phase
from canary.cli import send_command
from canary.cli.cluster import open_session
from canary.cli.options import DryRun
from canary.core.snapshot import Verb
from canary.errors import ExitCode
from canary.kube.objects import RELEASES, Kind
from canary.kube.releases import parse_release, parse_request
from canary.kube.workloads.names import REQUEST
from canary.render.allowed_commands import describe_effect, explain_refusal, list_allowed
from tests.cli.conftest import Run
from tests.cli.releases import SITUATIONS, build_release, store_release
from tests.kube.api_server import ApiServer

SENSE = {
    "pending": [],
    "ready": ["restart"],
    "preparing": ["pause", "abort"],
    "checking": ["pause", "abort"],
    "progressing": ["pause", "abort"],
    "approval": ["promote", "pause", "abort"],
    "paused": ["promote", "resume", "abort"],
    "promoting": ["abort"],
    "baking": [],
    "rolling back": [],
    "rolled back": ["retry"],
    "promoted": ["restart"],
    "terminating": [],
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_makes_sense(situation: str) -> None:
    """Phase by verb: what is possible has an effect, all else a reason."""
    found = parse_release(build_release(situation))
    assert [verb.value for verb in list_allowed(found.spec, found.status)] == SENSE[situation]
    for verb in Verb:
        why = explain_refusal(verb, found.spec, found.status)
        assert why is None or (why and not why.endswith("."))
        if verb.value in SENSE[situation]:
            assert describe_effect(verb, found.spec, found.status)


def test_every_phase_is_in_the_table() -> None:
    """A phase that is forgotten would be answered by accident."""
    assert {Phase(status["phase"]) for status in SITUATIONS.values()} == set(Phase)


REFUSALS = [
    pytest.param("ready", "abort", "no release is in progress; a change to the pod template of Deployment auth starts one", id="abort with nothing under way"),
    pytest.param("ready", "retry", "nothing was rolled back, so there is nothing to retry", id="retry with nothing rolled back"),
    pytest.param("progressing", "resume", "it is not paused", id="resume what goes on"),
    pytest.param("progressing", "promote", "step 2 needs no approval: it continues by itself once the analysis passes, and a command cannot replace evidence", id="promote past the evidence"),
    pytest.param("progressing", "retry", "it is still in progress; abort it first", id="retry what is under way"),
    pytest.param("approval", "resume", "it is not paused but waits for approval; promote approves it", id="resume what waits for approval"),
    pytest.param("paused", "pause", "it is already paused", id="pause twice"),
    pytest.param("promoting", "pause", "it is being promoted and can no longer be paused; abort rolls it back", id="pause too late"),
    pytest.param("baking", "pause", "it is promoted already and only being monitored; abort rolls it back", id="pause what is promoted"),
    pytest.param("rolling back", "retry", "it is being rolled back already (WorseThanStable); retry once that has ended", id="retry too early"),
    pytest.param("rolled back", "abort", "it was rolled back already (WorseThanStable)", id="abort what is rolled back"),
    pytest.param("terminating", "pause", "the CanaryRelease is being deleted; the route and the target are being restored", id="pause what is being deleted"),
]  # fmt: skip


@pytest.mark.parametrize(("situation", "verb", "why"), REFUSALS)
def test_a_refusal(situation: str, verb: str, why: str, server: ApiServer, run: Run) -> None:
    """Exit code 2 with the reason; nothing is written, even with --yes."""
    store_release(server.cluster, situation)
    found = run(verb, "auth", "--yes")
    assert (found.code, found.out) == (2, "")
    assert found.err == f"canary: cannot {verb} prod/auth: {why}\n"
    assert server.asked["patch", "canaryreleases"] == 0


def test_an_approval_is_given_once() -> None:
    """What is approved already needs no second word."""
    body = build_release("approval")
    body["status"] = {**body["status"], "release": {**body["status"]["release"], "approvedStep": 2}}
    found = parse_release(body)
    assert "approved already" in str(explain_refusal(Verb.PROMOTE, found.spec, found.status))


@pytest.mark.parametrize(
    ("situation", "verb"), [(name, verb) for name, verbs in SENSE.items() for verb in verbs]
)
def test_a_request_is_written(situation: str, verb: str, server: ApiServer, run: Run) -> None:
    """The operator reads what was asked; people read what it does."""
    store_release(server.cluster, situation)
    found = run(verb, "auth", "--yes")
    assert found.code == 0
    assert found.out.startswith(f"prod/auth: {verb} sent: ")
    assert parse_request(annotation(server)).verb == verb


def test_each_request_is_new(server: ApiServer, run: Run) -> None:
    """The same wish twice is two wishes: the operator takes each once."""
    store_release(server.cluster, "progressing")
    run("pause", "auth", "--yes")
    first = parse_request(annotation(server)).id
    run("pause", "auth", "--yes")
    assert parse_request(annotation(server)).id != first


def test_without_a_person_yes_is_needed(server: ApiServer, run: Run) -> None:
    """In a pipe nobody can be asked: exit code 2 says what to give."""
    store_release(server.cluster, "progressing")
    found = run("abort", "auth")
    assert (found.code, found.out) == (2, "")
    assert found.err == "canary: not a terminal: pass --yes to confirm\n"


def test_several_are_asked_or_none(server: ApiServer, run: Run) -> None:
    """One refusal holds back all of them, and every reason is said."""
    store_release(server.cluster, "progressing")
    store_release(server.cluster, "ready", "web")
    store_release(server.cluster, "baking", "shop")
    found = run("pause", "auth", "web", "shop", "--yes")
    assert found.code == 2
    web, shop = found.err.splitlines()
    assert web.startswith("canary: cannot pause prod/web: no release is in progress")
    assert shop.startswith("cannot pause prod/shop: it is promoted already")
    assert server.asked["patch", "canaryreleases"] == 0
    store_release(server.cluster, "progressing", "web")
    assert len(run("pause", "auth", "web", "auth", "--yes").out.splitlines()) == 2


DRY = [
    pytest.param("client", {"get": 2}, "dry run: not sent", id="client: nothing is sent"),
    pytest.param("server", {"get": 2, "patch": 1}, "not persisted", id="server: it is checked there"),
]  # fmt: skip


@pytest.mark.parametrize(("how", "asked", "said"), DRY)
def test_a_dry_run_changes_nothing(
    how: str, asked: dict[str, int], said: str, server: ApiServer, run: Run
) -> None:
    """It needs no --yes, and says that nothing happened."""
    before = store_release(server.cluster, "progressing")
    found = run("abort", "auth", f"--dry-run={how}")
    assert found.code == 0
    assert said in found.out
    reviews = {"create": 1}  # who sends the command
    assert {verb: count for (verb, _), count in server.asked.items()} == asked | reviews
    assert server.cluster.get(RELEASES, "prod", "auth") == before
    made = json.loads(run("abort", "auth", f"--dry-run={how}", "-o", "json").out)
    assert parse_request(made["metadata"]["annotations"][REQUEST]).verb == "abort"
    assert run("abort", "auth", f"--dry-run={how}", "-o", "name").out == (
        "canaryrelease.canary-controller.dev/auth\n"
    )


class Interfering:
    """Somebody who writes just before a patch comes in."""

    def __init__(self, server: ApiServer, situation: str, times: int, **release: Any) -> None:
        self.left = times
        self.change = (server, situation, release)
        server.cluster.before = self

    def __call__(self, verb: str, _kind: Kind, _namespace: str, _name: str) -> None:
        server, situation, changes = self.change
        if verb == "patch" and self.left:
            self.left -= 1
            body = build_release(situation)
            found = dict(body["status"].get("release") or {}) | changes
            status = {**body["status"], "judgedUntil": float(self.left), "release": found or None}
            server.cluster.put(RELEASES, body | {"status": status})


def test_figures_that_change_meanwhile_do_not_matter(server: ApiServer, run: Run) -> None:
    """The operator writes its status every few seconds: the request is written again."""
    store_release(server.cluster, "progressing")
    Interfering(server, "progressing", 2)
    assert run("abort", "auth", "--yes").code == 0
    assert parse_request(annotation(server)).verb == "abort"


MOVED = [
    pytest.param("promote", "approval", "paused", {}, "it is at step 2 now", id="another step than the one to be approved"),
    pytest.param("abort", "progressing", "progressing", {"template": "other"}, "another release is in progress", id="another release"),
    pytest.param("pause", "progressing", "promoting", {}, "it is being promoted and can no longer be paused", id="too late by now"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "before", "after", "changes", "said"), MOVED)
def test_a_release_that_moved_on_is_not_hit(  # noqa: PLR0913, PLR0917 - a table's columns
    verb: str,
    before: str,
    after: str,
    changes: dict[str, Any],
    said: str,
    server: ApiServer,
    run: Run,
) -> None:
    """What was seen is not what is there: exit code 2, nothing is written."""
    store_release(server.cluster, before)
    Interfering(server, after, 1, **changes)
    found = run(verb, "auth", "--yes")
    assert found.code == 2
    assert "prod/auth has changed, so nothing was sent: " + said in found.err
    stored = server.cluster.get(RELEASES, "prod", "auth") or {}
    assert REQUEST not in (stored["metadata"].get("annotations") or {})


def test_wait_until_it_is_taken(server: ApiServer, run: Run) -> None:
    """--wait ends when the operator has taken just this request."""
    store_release(server.cluster, "progressing")

    def take(verb: str, _kind: Kind, _namespace: str, _name: str) -> None:
        if verb == "watch":
            found = server.cluster.get(RELEASES, "prod", "auth") or {}
            number = parse_request(found["metadata"]["annotations"][REQUEST]).id
            status = {**SITUATIONS["rolling back"], "handledRequest": number}
            server.cluster.put(RELEASES, found | {"status": status})

    server.cluster.before = take
    found = run("abort", "auth", "--yes", "--wait")
    assert found.code == 0
    assert found.out.splitlines()[1].startswith("prod/auth phase=RollingBack")


def test_a_command_that_no_operator_handles_times_out(server: ApiServer) -> None:
    """No operator, no effect: exit code 4."""
    store_release(server.cluster, "progressing")
    with open_session("prod") as cluster:
        (planned,) = send_command.plan_commands(
            cluster, Verb.ABORT, ["auth"], send_command.NO_DETAILS
        )
        sent = send_command.write_command(cluster, planned, DryRun.NONE)
        with pytest.raises(send_command.CommandTimeoutError, match="has not handled") as raised:
            send_command.wait_until_handled(cluster, sent, timeout=0.05)
    assert raised.value.exit_code is ExitCode.TIMED_OUT


def test_wait_and_dry_run_exclude_each_other(run: Run) -> None:
    """Nothing would ever come."""
    assert run("abort", "auth", "--wait", "--dry-run=server").code == 2


def annotation(server: ApiServer) -> str:
    """What was asked last."""
    found = server.cluster.get(RELEASES, "prod", "auth") or {}
    return str(found["metadata"]["annotations"][REQUEST])


def test_aborting_what_runs_everywhere_already_says_that_it_goes_back() -> None:
    """At the end of a promotion the canary has no traffic any more to take away."""
    found = parse_release(build_release("promoting"))
    drained = found.status.model_copy(update={"weight": 0})
    assert "removes the canary's 100 %" in describe_effect(Verb.ABORT, found.spec, found.status)
    assert "the previous version" in describe_effect(Verb.ABORT, found.spec, drained)
