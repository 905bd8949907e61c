"""The health checks of docs/examples/argocd, run by a real Lua."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import LuaRuntime

from canary.api import Phase
from canary.core.snapshot import Verb
from canary.kube.releases import parse_request
from canary.kube.workloads.names import REQUEST

FILE = Path(__file__).parents[2] / "docs/examples/argocd/argocd-cm.yaml"
CHECKS = yaml.safe_load(FILE.read_text("utf-8"))["data"]


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


ACTIONS = yaml.safe_load(
    CHECKS["resource.customizations.actions.canary-controller.dev_CanaryRelease"]
)
DEFINITIONS = {one["name"]: one["action.lua"] for one in ACTIONS["definitions"]}


def enabled_actions(**status: Any) -> set[str]:
    """The names of the actions that Argo CD offers for a release with this status."""
    lua = LuaRuntime()
    discover = lua.execute(f"return function(obj) {ACTIONS['discovery.lua']} end")
    found = discover(lua.table_from({"metadata": {}, "status": status}, recursive=True))
    return {name for name, action in found.items() if not action["disabled"]}


IN_FLIGHT = {"promote", "skip-analysis", "pause", "abort"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, set(), id="no status yet"),
        pytest.param({"phase": "Progressing"}, IN_FLIGHT, id="in flight"),
        pytest.param({"phase": "Paused"}, IN_FLIGHT - {"pause"} | {"resume"}, id="paused"),
        pytest.param({"phase": "Promoting"}, {"abort"}, id="promoting"),
        pytest.param({"phase": "Baking", "previousHash": "0a1b"}, {"abort"}, id="baking"),
        pytest.param({"phase": "Baking"}, set(), id="baking, no version before"),
        pytest.param({"phase": "RollingBack"}, set(), id="rolling back"),
        pytest.param(
            {"phase": "RolledBack", "rejectedHash": "0a1b"},
            {"skip-analysis", "retry"},
            id="rolled back",
        ),
        pytest.param({"phase": "Ready", "reason": "AtRest"}, {"restart"}, id="at rest"),
        pytest.param(
            {"phase": "Ready", "reason": "AtRest", "earlierStable": [{"template": "0a1b"}]},
            {"restart", "undo"},
            id="at rest after a promotion",
        ),
        pytest.param({"phase": "Ready", "reason": "Suspended"}, set(), id="suspended"),
    ],
)
def test_only_actions_that_make_sense_are_enabled(
    status: dict[str, Any], expected: set[str]
) -> None:
    """As `canary promote` and the others refuse what makes no sense in a phase."""
    assert enabled_actions(**status) == expected


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_an_action_writes_a_request_that_the_operator_reads(name: str) -> None:
    """Every action that is discovered is defined, and writes one valid annotation."""
    lua = LuaRuntime()
    run = lua.execute(f"return function(obj) {DEFINITIONS[name]} end")
    changed = run(lua.table_from({"metadata": {"name": "auth"}}, recursive=True))
    request = parse_request(str(changed["metadata"]["annotations"][REQUEST]))
    verb, _, skip = name.partition("-") if name != "skip-analysis" else ("promote", "", "Analysis")
    assert (request.verb, request.skip or "") == (Verb(verb), skip)
    assert request.id.startswith("argocd-")


def test_every_action_that_is_offered_is_defined() -> None:
    """The menu has no entry that fails."""
    lua = LuaRuntime()
    discover = lua.execute(f"return function(obj) {ACTIONS['discovery.lua']} end")
    assert set(discover(lua.table_from({"metadata": {}}, recursive=True))) == set(DEFINITIONS)
