"""`canary status`: one look, lines while it goes on, and what all of it costs the server."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canary.kube.objects import RELEASES
from tests.cli.conftest import Ran, Run
from tests.cli.releases import ENDED, SITUATIONS, build_release, store_release
from tests.kube.api_server import ApiServer

GOLDEN = Path(__file__).parent / "golden"

CODES = {
    "pending": 0,
    "ready": 0,
    "preparing": 0,
    "checking": 0,
    "progressing": 0,
    "approval": 5,
    "paused": 5,
    "promoting": 0,
    "baking": 0,
    "rolling back": 3,
    "rolled back": 3,
    "promoted": 0,
    "terminating": 0,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_one_look(situation: str, server: ApiServer, run: Run) -> None:
    """Each situation has its picture and its exit code; one request is enough."""
    store_release(server.cluster, situation)
    found = run("status", "auth")
    assert found.code == CODES[situation]
    assert found.out == (GOLDEN / f"status-{situation.replace(' ', '-')}.txt").read_text("utf-8")
    assert dict(server.asked) == {("get", "canaryreleases"): 1}


def test_nothing_is_cut_off_in_a_narrow_terminal(
    server: ApiServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit goes on in the next line, and no line is too long."""
    store_release(server.cluster, "rolled back")
    monkeypatch.setenv("COLUMNS", "44")
    lines = run("status", "auth").out.splitlines()
    assert max(map(len, lines)) <= 44
    assert "65 of 54,366." in " ".join(line.strip() for line in lines)


def test_a_document(server: ApiServer, run: Run) -> None:
    """Machines get figures, what may be asked, and the exit code."""
    store_release(server.cluster, "approval")
    found = run("status", "auth", "-o", "json")
    content = json.loads(found.out)
    assert found.code == content["exitCode"] == 5
    assert (content["schemaVersion"], content["phase"], content["step"], content["steps"]) == (
        1, "WaitingForApproval", 3, 3,
    )  # fmt: skip
    assert content["requests"] == ["promote", "pause", "abort"]
    assert content["metrics"][0]["canaryBad"] == 56.0


class Watching:
    """`canary status -w` in a thread, while the test changes the release."""

    def __init__(self, server: ApiServer, run: Run) -> None:
        self.server = server
        self.ran: Ran | None = None
        self._thread = threading.Thread(target=self._work, args=(run,), daemon=True)
        self._thread.start()

    def _work(self, run: Run) -> None:
        self.ran = run("status", "auth", "-w")

    def watched(self, count: int = 1) -> None:
        """Waits until so many watches were opened in all."""
        until(lambda: self.server.asked["watch", "canaryreleases"] >= count)

    def end(self) -> Ran:
        """How it ended."""
        self._thread.join(10)
        assert self.ran is not None
        return self.ran


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until it is so."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("not in time")


@contextmanager
def watching(server: ApiServer, run: Run, situation: str) -> Iterator[Watching]:
    """A watch on a release that is in this situation at first."""
    store_release(server.cluster, situation)
    found = Watching(server, run)
    found.watched()
    until(lambda: server.cluster.watching > 0)
    yield found


def test_a_line_for_each_change_until_it_is_promoted(server: ApiServer, run: Run) -> None:
    """In a pipe: what changed, then how it ended; exit code 0."""
    with watching(server, run, "progressing") as found:
        for situation in ("approval", "promoting", "baking", "promoted"):
            store_release(server.cluster, situation)
    ended = found.end()
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [
        "phase=Progressing", "phase=WaitingForApproval", "phase=Promoting", "phase=Baking", "phase=Ready",
    ]  # fmt: skip
    assert lines[-1] == "prod/auth: Promoted (Promoted), peak weight 100 %, 56 errors served"


def test_a_rollback_is_exit_code_3(server: ApiServer, run: Run) -> None:
    """It goes on through the rolling back, and leaves when that has ended."""
    with watching(server, run, "paused") as found:
        store_release(server.cluster, "rolling back")
        store_release(server.cluster, "rolled back")
    ended = found.end()
    assert ended.code == 3
    assert ended.out.splitlines()[0] == (
        "prod/auth phase=Paused step=2/3 weight=25% reason=NoData verdict=Continue "
        "evidence=errors:12/100:Continue,pool:0.30/3:Pass | errors: no request has reached the canary for 75 s"
    )


def test_figures_that_only_grow_are_no_change(server: ApiServer, run: Run) -> None:
    """A pipe is not flooded: evidence is written every few seconds."""
    with watching(server, run, "progressing") as found:
        status = SITUATIONS["progressing"]
        server.cluster.put(RELEASES, build_release() | {"status": {**status, "judgedUntil": 5.0}})
        store_release(server.cluster, "rolled back")
    assert len(found.end().out.splitlines()) == 3


def test_a_newer_template_is_followed(server: ApiServer, run: Run) -> None:
    """A release that gave way to another one is not the end."""
    superseded = {**SITUATIONS["ready"], "reason": "TemplateChanged", "phase": "RolledBack"}
    superseded["history"] = [{**ENDED, "result": "Superseded", "reason": "TemplateChanged"}]
    with watching(server, run, "progressing") as found:
        server.cluster.put(RELEASES, build_release() | {"status": superseded})
        store_release(server.cluster, "preparing")
        store_release(server.cluster, "promoted")
    ended = found.end()
    assert ended.code == 0
    assert "phase=Preparing" in ended.out


def test_deleted_meanwhile(server: ApiServer, run: Run) -> None:
    """Nothing is left to be watched: exit code 7."""
    with watching(server, run, "progressing") as found:
        server.cluster.delete(RELEASES, "prod", "auth", "Background")
    ended = found.end()
    assert (ended.code, ended.err) == (7, "canary: CanaryRelease prod/auth was deleted\n")


def test_at_rest_there_is_nothing_to_wait_for(server: ApiServer, run: Run) -> None:
    """-w says how it is and leaves."""
    store_release(server.cluster, "rolled back")
    assert run("status", "auth", "-w").code == 3
    assert server.asked["watch", "canaryreleases"] == 0


def test_500_releases_cost_one_watch_and_no_polling(server: ApiServer, run: Run) -> None:
    """The server chooses the one release; what happens to the others is never sent."""
    for number in range(500):
        store_release(server.cluster, "progressing", f"other-{number:03}")
    with watching(server, run, "progressing") as found:
        for number in range(0, 500, 50):
            store_release(server.cluster, "approval", f"other-{number:03}")
        store_release(server.cluster, "rolled back")
    assert found.end().code == 3
    assert dict(server.asked) == {
        ("get", "canaryreleases"): 1,
        ("list", "canaryreleases"): 1,
        ("watch", "canaryreleases"): 1,
    }
    narrow = [query.get("fieldSelector") for query in server.queries]
    assert narrow == [None, "metadata.name=auth", "metadata.name=auth"]


def test_a_watch_that_ends_goes_on(server: ApiServer, run: Run) -> None:
    """Servers end watches now and then: nobody is told, nothing is lost."""
    with watching(server, run, "progressing") as found:
        server.cluster.bookmark()
        store_release(server.cluster, "approval")
        server.cluster.break_watches()
        store_release(server.cluster, "rolled back")
    ended = found.end()
    assert (ended.code, ended.err) == (3, "")
    assert server.asked["list", "canaryreleases"] == 1


def test_a_watch_that_breaks_is_said_once(server: ApiServer, run: Run) -> None:
    """An API server that is away is said once, and that it is back once."""
    with watching(server, run, "progressing") as found:
        server.refuse["watch"] = 503
        server.cluster.break_watches()
        found.watched(3)
        del server.refuse["watch"]
        until(lambda: server.cluster.watching > 0)
        store_release(server.cluster, "approval")
        store_release(server.cluster, "rolled back")
    ended = found.end()
    assert ended.code == 3
    said = ended.err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("canary: cannot watch canaryreleases in namespace prod")
    assert said[0].endswith("retrying")
    assert said[1] == "canary: the watch works again"


def test_rights_that_are_taken_away(server: ApiServer, run: Run) -> None:
    """Trying again would not help: exit code 7, and what to grant."""
    with watching(server, run, "progressing") as found:
        server.refuse["watch"] = 403
        server.cluster.break_watches()
    ended = found.end()
    assert ended.code == 7
    assert 'verbs ["watch"]' in ended.err


def test_a_watch_is_for_people(run: Run) -> None:
    """-w with -o is a usage error."""
    assert run("status", "auth", "-w", "-o", "json").code == 2
