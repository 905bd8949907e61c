"""What Flux waits for: CanaryReleases and held Deployments, read by Flux' own kstatus."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from canary.api import Phase, load_release
from canary.core.snapshot import Verb
from tests.in_memory_world import RELEASE, InMemoryWorld, SimulatedVersion

PROGRAM = Path(__file__).parent / "kstatus"
BAD = {"v2": SimulatedVersion(errors=0.3)}
Kstatus = Callable[[Mapping[str, Any]], str]


def run_go(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs it where the program's source is."""
    return subprocess.run(
        words, cwd=PROGRAM, capture_output=True, text=True, check=False, timeout=500
    )


@pytest.fixture(scope="session")
def kstatus(tmp_path_factory: pytest.TempPathFactory) -> Kstatus:
    """The status of an object: Current, InProgress or Failed."""
    if (go := shutil.which("go")) is None:
        pytest.skip("needs go")
    program = tmp_path_factory.mktemp("kstatus") / "kstatus"
    if code := run_go(go, "mod", "download").returncode:
        pytest.skip(f"needs the modules of tests/manifests/kstatus: go mod download exits {code}")
    built = run_go(go, "build", "-o", str(program), ".")
    assert built.returncode == 0, built.stderr

    def compute(object_: Mapping[str, Any]) -> str:
        text = json.dumps(object_)
        done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return compute


def deployed(text: str = RELEASE, **world: Any) -> InMemoryWorld:
    """v1 has been adopted, and v2 applied."""
    memory = InMemoryWorld(spec=load_release(text, "tests").spec, **world)
    memory.run(30, until=Phase.READY)
    memory.tick(30)
    memory.deploy("v2")
    memory.run(300, until=Phase.PROGRESSING)
    return memory


def at_rest() -> InMemoryWorld:
    """Nothing to do."""
    memory = InMemoryWorld()
    memory.run(30, until=Phase.READY)
    return memory


def promoted() -> InMemoryWorld:
    """A good version has replaced the old one."""
    memory = deployed()
    memory.run(900, until=Phase.READY)
    return memory


def rolled_back() -> InMemoryWorld:
    """A bad one has not."""
    memory = deployed(versions=BAD)
    memory.run(900, until=Phase.ROLLED_BACK)
    return memory


def paused() -> InMemoryWorld:
    """By a person, in mid-release."""
    memory = deployed()
    memory.ask(Verb.PAUSE)
    memory.run(60, until=Phase.PAUSED)
    return memory


def waits_for_approval() -> InMemoryWorld:
    """At a step that needs one."""
    step = "weight: 5, duration: 20s"
    memory = deployed(RELEASE.replace(step, f"{step}, approval: true"))
    memory.run(600, until=Phase.WAITING_FOR_APPROVAL)
    return memory


def resource(memory: InMemoryWorld) -> dict[str, Any]:
    """The CanaryRelease as the API server has it."""
    status = memory.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    meta = {"name": "auth", "namespace": "prod", "generation": memory.status.observed_generation}
    kind = {"apiVersion": "canary-controller.dev/v1alpha1", "kind": "CanaryRelease"}
    return {**kind, "metadata": meta, "status": status}


def test_flux_waits_for_the_end_of_a_release(kstatus: Kstatus) -> None:
    """And is ready after a promotion only; what needs a person is a failure, at once."""
    expected = {
        at_rest: "Current",
        deployed: "InProgress",
        promoted: "Current",
        rolled_back: "Failed",
        paused: "Failed",
        waits_for_approval: "InProgress",
    }
    assert {course: kstatus(resource(course())) for course in expected} == expected


def test_a_changed_specification_is_not_current_until_it_was_read(kstatus: Kstatus) -> None:
    """The conditions are about the generation before."""
    changed = resource(at_rest())
    changed["metadata"]["generation"] += 1
    assert kstatus(changed) == "InProgress"


def deployment(*, paused: bool, updated: int) -> dict[str, Any]:
    """A Deployment with three pods, so many of them of its template, as Kubernetes 1.37 reports it."""
    progressing = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    if paused:
        progressing |= {"status": "Unknown", "reason": "DeploymentPaused"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "auth", "namespace": "prod", "generation": 4},
        "spec": {"replicas": 3, "paused": paused, "progressDeadlineSeconds": 600},
        "status": {
            "observedGeneration": 4,
            "replicas": 3,
            "updatedReplicas": updated,
            "readyReplicas": 3,
            "availableReplicas": 3,
            "conditions": [{"type": "Available", "status": "True"}, progressing],
        },
    }


def test_flux_waits_for_a_held_deployment(kstatus: Kstatus) -> None:
    """Also before the operator has seen the template, when the release still says Ready."""
    assert kstatus(deployment(paused=True, updated=0)) == "InProgress"
    assert kstatus(deployment(paused=False, updated=3)) == "Current"


def test_flux_never_calls_a_deployment_ready_that_is_paused_at_rest(kstatus: Kstatus) -> None:
    """So with `AtRest` a Kustomization waits for the CanaryRelease alone: docs/gitops.md."""
    assert kstatus(deployment(paused=True, updated=3)) == "InProgress"
