"""The health checks of docs/examples/argocd, run by a real Lua."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import LuaRuntime

from canary.api import Phase

FILE = Path(__file__).parents[2] / "docs/examples/argocd/argocd-cm.yaml"
CHECKS = yaml.safe_load(FILE.read_text("utf-8"))["data"]
KNOWN = {"Healthy", "Progressing", "Degraded", "Suspended"}


def health(kind: str, obj: dict[str, Any]) -> str:
    """What Argo CD would say of the object."""
    lua = LuaRuntime()
    check = lua.execute(
        f"return function(obj) {CHECKS[f'resource.customizations.health.{kind}']} end"
    )
    return str(check(lua.table_from(obj, recursive=True))["status"])


def release(phase: str, seen: int = 3) -> dict[str, Any]:
    """A CanaryRelease in a phase."""
    status = {"phase": phase, "observedGeneration": seen, "reason": "AtRest", "message": "…"}
    return {"metadata": {"generation": 3}, "status": status}


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_a_health(phase: Phase) -> None:
    """Whatever phase there will be, Argo CD gets one of its own words."""
    expected = {
        Phase.READY: "Healthy",
        Phase.ROLLED_BACK: "Degraded",
        Phase.PAUSED: "Suspended",
        Phase.WAITING_FOR_APPROVAL: "Suspended",
    }
    assert health("canary-controller.dev_CanaryRelease", release(phase)) == expected.get(
        phase, "Progressing"
    )


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param({"metadata": {"generation": 1}}, id="no status yet"),
        pytest.param({"metadata": {"generation": 1}, "status": {}}, id="an empty status"),
        pytest.param(release("Ready", seen=2), id="a status of an older generation"),
    ],
)
def test_a_release_that_nobody_has_seen_progresses(obj: dict[str, Any]) -> None:
    """Without a status of this generation nothing is called healthy."""
    assert health("canary-controller.dev_CanaryRelease", obj) == "Progressing"


HOLD = {"canary-controller.dev/hold": "auth"}
FINE = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
LATE = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too late"}]


@pytest.mark.parametrize(
    ("annotations", "paused", "status", "expected"),
    [
        pytest.param(HOLD, True, FINE, "Healthy", id="held at rest"),
        pytest.param(
            HOLD, True, FINE | {"updatedReplicas": 0}, "Healthy", id="held with a new template"
        ),
        pytest.param(
            HOLD, True, FINE | {"availableReplicas": 1}, "Progressing", id="held, a pod is missing"
        ),
        pytest.param(
            HOLD,
            False,
            FINE | {"updatedReplicas": 1},
            "Progressing",
            id="rolling to the vetted one",
        ),
        pytest.param(HOLD, False, FINE, "Healthy", id="held on change, at rest"),
        pytest.param({}, True, FINE, "Suspended", id="paused by a person"),
        pytest.param({}, False, FINE, "Healthy", id="not guarded"),
        pytest.param({}, False, FINE | {"replicas": 3}, "Progressing", id="an old pod is left"),
        pytest.param({}, False, FINE | {"observedGeneration": 2}, "Progressing", id="not seen yet"),
        pytest.param({}, False, FINE | {"conditions": LATE}, "Degraded", id="out of time"),
        pytest.param({}, False, {}, "Progressing", id="no status yet"),
    ],
)
def test_a_held_deployment_is_healthy(
    *, annotations: dict[str, str], paused: bool, status: dict[str, Any], expected: str
) -> None:
    """A hold is no suspension: otherwise every sync would wait for ever."""
    obj = {
        "metadata": {"generation": 3, "annotations": annotations},
        "spec": {"replicas": 2} | ({"paused": True} if paused else {}),
        "status": status,
    }
    assert health("apps_Deployment", obj) == expected
