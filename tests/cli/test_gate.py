"""`canary gate` as a pipeline runs it: every exit code, produced by a situation."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from canary.api import Pause, Reason, Result, Status
from canary.cli.main import main
from canary.kube.objects import DEPLOYMENTS, RELEASES
from tests.gate.test_waiter import VETTED, ended, flight
from tests.kube.api_server import ApiServer
from tests.kube.fixtures_release import NAMESPACE, ReleaseOnFakeCluster
from tests.operator.simulated_cluster import run_operator, start_cluster

AT_REST = Status(stable_hash=VETTED, reason=Reason.AT_REST, observed_generation=1)


class Pipeline:
    """A Deployment, its release, an API server, and a shell in front of them."""

    def __init__(self, server: ApiServer, stage: ReleaseOnFakeCluster, kubeconfig: str) -> None:
        self.server = server
        self.stage = stage
        self.kubeconfig = kubeconfig
        self.write(AT_REST)

    def write(self, status: Status) -> None:
        """The operator writes."""
        self.stage.resource(status)

    def arguments(self, *more: str) -> list[str]:
        """Of the program."""
        return ["gate", "auth", "-n", NAMESPACE, "--kubeconfig", self.kubeconfig, *more]

    def gate(self, *more: str) -> int:
        """The exit code."""
        return main(self.arguments("--timeout", "10s", *more))

    def after_the_first_word(self, event) -> None:
        """Something happens once the gate watches."""

        def wait() -> None:
            with self.stage.cluster.changed:
                while not self.stage.cluster.watching:
                    self.stage.cluster.changed.wait(0.01)
            event()

        threading.Thread(target=wait, daemon=True).start()


@pytest.fixture
def pipeline(tmp_path, monkeypatch) -> Iterator[Pipeline]:
    """One pipeline, with nothing of the CI system that runs these tests."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    stage = ReleaseOnFakeCluster()
    with ApiServer(stage.cluster) as server:
        yield Pipeline(server, stage, str(server.kubeconfig(tmp_path)))


def test_0_nothing_to_release(pipeline, capsys):
    """What was applied runs already."""
    assert pipeline.gate() == 0
    out = capsys.readouterr()
    assert out.out == "prod/auth: runs everywhere already: nothing to release\n"
    assert out.err == ""


def test_0_promoted_while_it_waits(pipeline, capsys):
    """The watch wakes the gate; progress is timestamped and on standard error only."""
    new = pipeline.stage.change()
    pipeline.write(flight(new))
    promoted = ended(new, Result.PROMOTED, Reason.PROMOTED)
    pipeline.after_the_first_word(lambda: pipeline.write(promoted))
    assert pipeline.gate() == 0
    out = capsys.readouterr()
    assert out.out.splitlines()[0] == "prod/auth: promoted"
    assert out.err.splitlines()[0].endswith("Z Pending at 5 %, step 1 of 1: Holding")


def test_2_wrong_usage(pipeline, capsys):
    """Flags that contradict each other, or mean nothing, or a file that cannot be."""
    assert pipeline.gate("--next", "--image", "auth:2") == 2
    assert "cannot be combined with --image" in capsys.readouterr().err
    assert main(pipeline.arguments("--timeout", "soon")) == 2
    assert "found 'soon'" in capsys.readouterr().err
    assert pipeline.gate("--junit", "/") == 2
    assert "--junit: expected a file" in capsys.readouterr().err


def test_3_rolled_back(pipeline, tmp_path, capsys):
    """With all artefacts, from one outcome."""
    new = pipeline.stage.change()
    message = "4 connections are never given back."
    pipeline.write(ended(new, Result.ROLLED_BACK, Reason.CONNECTION_LEAK, message))
    files = [tmp_path / name for name in ("junit.xml", "summary.md", "gl.json")]
    options = ("--junit", "--summary", "--gitlab")
    pairs = zip(options, map(str, files), strict=True)
    code = pipeline.gate("-o", "json", *(word for pair in pairs for word in pair))
    assert code == 3
    read = json.loads(capsys.readouterr().out)
    assert (read["result"], read["facts"]["reason"]) == ("Failed", "ConnectionLeak")
    assert message in files[0].read_text()
    assert message in files[1].read_text()
    assert json.loads(files[2].read_text())[0]["severity"] == "critical"


def test_4_timed_out(pipeline, capsys):
    """0s looks once."""
    pipeline.write(flight(pipeline.stage.change()))
    assert main(pipeline.arguments("--timeout", "0s")) == 4
    assert "has not ended within 0s" in capsys.readouterr().out


def test_5_waits_for_a_person(pipeline, capsys):
    """And says which command would let it go on."""
    pipeline.write(flight(pipeline.stage.change(), Reason.APPROVAL_NEEDED))
    assert pipeline.gate() == 5
    assert "canary promote auth -n prod" in capsys.readouterr().out
    assert main(pipeline.arguments("--timeout", "0s", "--pause-ok")) == 4


def test_6_inconclusive(pipeline, capsys):
    """Paused because the metrics say nothing."""
    status = flight(pipeline.stage.change(), Reason.NO_DATA)
    pause = Pause(reason=Reason.NO_DATA, since=61.0)
    release = status.release.model_copy(update={"pause": pause})
    pipeline.write(status.model_copy(update={"release": release}))
    assert pipeline.gate() == 6
    assert "is paused at 5 %: NoData" in capsys.readouterr().out


def test_7_not_there(pipeline, tmp_path, capsys):
    """A wrong name; the artefact says it as well."""
    file = tmp_path / "junit.xml"
    words = pipeline.arguments("--junit", str(file))
    words[1] = "aut"
    assert main(words) == 7
    out = capsys.readouterr()
    assert out.out == ""
    assert "there is no CanaryRelease aut in namespace prod" in out.err
    assert "there is no CanaryRelease aut" in file.read_text()


@pytest.mark.parametrize("plural", ["canaryreleases", "deployments"])
def test_7_forbidden(pipeline, capsys, plural):
    """The account of the pipeline may not look: what to grant is said."""
    pipeline.server.refuse = {f"{verb} {plural}": 403 for verb in ("get", "list", "watch")}
    assert pipeline.gate() == 7
    err = capsys.readouterr().err
    assert f'resources ["{plural}"]' in err
    assert "Traceback" not in err


def test_7_deleted_while_it_waits(pipeline, capsys):
    """The wait ends with the release."""
    pipeline.write(flight(pipeline.stage.change()))
    cluster = pipeline.stage.cluster
    pipeline.after_the_first_word(lambda: cluster.delete(RELEASES, NAMESPACE, "auth", "Background"))
    assert pipeline.gate() == 7
    assert "was deleted while the gate waited" in capsys.readouterr().out


def test_a_broken_watch_goes_on(pipeline):
    """The server ends watches now and then, and forgets history."""
    new = pipeline.stage.change()
    pipeline.write(flight(new))
    cluster = pipeline.stage.cluster

    def events() -> None:
        cluster.compact()
        cluster.break_watches()
        pipeline.write(ended(new, Result.PROMOTED, Reason.PROMOTED))

    pipeline.after_the_first_word(events)
    assert pipeline.gate() == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_130_and_143_interrupted(pipeline, number, code):
    """The pipeline was cancelled: the release goes on, and that is said."""
    pipeline.write(flight(pipeline.stage.change()))
    program = subprocess.Popen(
        [sys.executable, "-m", "canary", *pipeline.arguments()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    first = program.stderr.readline()
    program.send_signal(number)
    out, err = program.communicate(timeout=20)
    assert first.endswith("Holding\n"), first + err
    assert program.returncode == code
    assert "the wait was interrupted; the release continues" in out
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("image", "code", "said"),
    [
        pytest.param("auth:2", 0, "promoted", id="a good version"),
        pytest.param("auth:broken", 3, "rolled back", id="a version that fails half its requests"),
    ],
)
def test_with_an_operator_at_work(tmp_path, capsys, image, code, said):
    """Deploy, then gate: the statuses are those of the real operator."""
    with (
        start_cluster("auth") as town,
        run_operator(town),
        ApiServer(town.cluster) as server,
    ):
        kubeconfig = str(server.kubeconfig(tmp_path))
        town.until_phase("auth", "Ready")
        town.ship("auth", image)
        words = ["gate", "auth", "-n", "prod", "--kubeconfig", kubeconfig, "--timeout", "60s"]
        assert main(words) == code
        assert said in capsys.readouterr().out
        assert town.cluster.get(DEPLOYMENTS, "prod", "auth") is not None
