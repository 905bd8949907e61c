"""Whole releases on a real API server: the real rules decide, only router and judge are ours."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from canary.act import act
from canary.api import Phase, Reason, Status, Verdict
from canary.clock import SystemClock
from canary.core.analysis.result import AnalysisResult
from canary.core.conditions import build_conditions
from canary.core.plan import SetWeight, TrafficAction
from canary.core.rollout import decide
from canary.core.series import MetricAnswer
from canary.core.snapshot import ReleaseResource, Route
from canary.errors import NotFoundError, TransientError
from canary.interfaces import Key, Notice, World
from canary.kube.objects import DEPLOYMENTS, Object
from canary.kube.workloads import PauseMode
from canary.observe import observe
from canary.status_update import update_status
from e2e.fixtures_workloads import Operator, WorkloadFixture, deployment, policy, stage, until

__all__ = ["policy", "stage"]

PASS = AnalysisResult(step=Verdict.PASS, final=Verdict.PASS)
CONTINUE = AnalysisResult(step=Verdict.CONTINUE, final=Verdict.CONTINUE)
FAIL = AnalysisResult(step=Verdict.FAIL, final=Verdict.FAIL, reason=Reason.WORSE_THAN_STABLE)
ENDED = {Phase.READY, Phase.ROLLED_BACK, Phase.PAUSED}
MODES = [
    pytest.param(PauseMode.AT_REST, id="held at rest"),
    pytest.param(PauseMode.ON_CHANGE, id="held on change"),
]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> PauseMode:
    """Each way of holding; the policy is only there where it is meant."""
    if request.param is PauseMode.ON_CHANGE:
        request.getfixturevalue("policy")
    found: PauseMode = request.param
    return found


@dataclass
class Router:
    """A route that follows at once."""

    weight: int | None = None

    def read(self, _wish: ReleaseResource) -> Route | None:
        return Route(self.weight or 0, True, self.weight is None)

    def apply(self, _wish: ReleaseResource, action: TrafficAction) -> None:
        self.weight = action.weight if isinstance(action, SetWeight) else None


@dataclass
class Passes:
    """The operator, pass by pass."""

    operator: Operator
    judged: AnalysisResult = CONTINUE
    router: Router = field(default_factory=Router)
    told: list[Notice] = field(default_factory=list)
    refused: list[TransientError] = field(default_factory=list)

    def notify(self, notice: Notice) -> None:
        self.told.append(notice)

    def final_until(self, _now: float) -> float:
        """Nothing is ever measured: the judgement is given."""
        return 0.0

    def read(self, *_: object) -> dict[str, MetricAnswer]:
        return {}

    def step(self) -> Status | None:
        """One pass; None when the release is gone."""
        stage = self.operator.stage
        store, workloads = stage.store(), self.operator.workloads
        world = World(SystemClock(), store, workloads, self.router, self, self)
        try:
            snap = observe(world, Key(stage.namespace, self.operator.name))
        except NotFoundError:
            return None
        plan = decide(snap, self.judged)
        status = plan.status.model_copy(update={"conditions": build_conditions(plan.status, snap)})
        plan = replace(plan, status=status)
        done = act(world, snap.resource, plan)
        if done.refused is not None:
            self.refused.append(done.refused)
        return update_status(world, snap, plan, done).status

    def until(self, wanted: Callable[[Status], bool], what: str) -> Status:
        """Passes until the status is so."""
        seen: list[Status] = []

        def stepped() -> Status | None:
            status = self.step()
            seen.extend([status] if status else [])
            return status if status and wanted(status) else None

        try:
            found = until(stepped, what)
        except AssertionError as error:
            last = seen[-1].model_dump(exclude_defaults=True) if seen else None
            raise AssertionError((last, self.refused[-3:])) from error
        assert found
        return found

    def ends(self, reason: Reason) -> Status:
        """Passes until the release is over, for that reason."""
        status = self.until(
            lambda s: s.phase in ENDED and s.release is None and s.reason is reason, reason
        )
        for _ in range(3):
            self.step()
        return status


def adopted(stage: WorkloadFixture, name: str, mode: PauseMode, replicas: int = 3) -> Passes:
    """Version 1 runs, is guarded and at rest."""
    name = f"{name}-{mode.value.lower()}"
    stage.deploy(
        name, replicas, traffic={"traefik": {"traefikService": "auth"}, "propagationDelay": "0s"}
    )
    passes = Passes(Operator(stage, name, mode))
    passes.ends(Reason.ADOPTED)
    return passes


def apply(passes: Passes, version: str) -> None:
    """The user applies that version."""
    operator = passes.operator
    replicas = operator.target().replicas
    operator.stage.must("apply", "-f", "-", stdin=deployment(operator.name, version, replicas))


def at_rest(passes: Passes) -> Object:
    """The Deployment, after making sure that nothing of the release is left and nothing moves."""
    operator = passes.operator
    passes.step()
    before = operator.stage.read("cnr", operator.name), operator.deployment()["spec"]
    for _ in range(5):
        passes.step()
    after = operator.stage.read("cnr", operator.name), operator.deployment()["spec"]
    assert before == after
    assert (passes.router.weight, operator.canary()) == (None, None)
    assert operator.target().held
    return operator.deployment()


def pods(passes: Passes) -> dict[str, int]:
    """The target's pods."""
    return passes.operator.stage.pods(passes.operator.name)


def test_a_good_release_is_promoted(stage: WorkloadFixture, mode: PauseMode) -> None:
    """Every pod runs the new version, the canary is gone, and the next one would be held."""
    passes = adopted(stage, "good", mode)
    before = pods(passes)
    apply(passes, "2")
    passes.judged = PASS
    status = passes.ends(Reason.PROMOTED)
    found = at_rest(passes)
    assert pods(passes).keys().isdisjoint(before)
    assert status.stable_hash == passes.operator.target().running
    assert bool(found["spec"].get("paused")) is (mode is PauseMode.AT_REST)


def test_a_bad_release_touches_no_stable_pod(stage: WorkloadFixture, mode: PauseMode) -> None:
    """The rejected template stays, held; going back to the vetted one is at rest again."""
    passes = adopted(stage, "bad", mode)
    before = pods(passes)
    apply(passes, "2")
    passes.until(lambda _: passes.router.weight == 5, "traffic")
    passes.judged = FAIL
    passes.ends(Reason.WORSE_THAN_STABLE)
    assert at_rest(passes)["spec"]["paused"] is True
    passes.judged = PASS
    apply(passes, "1")
    passes.ends(Reason.AT_REST)
    found = at_rest(passes)
    assert bool(found["spec"].get("paused")) is (mode is PauseMode.AT_REST)
    assert pods(passes) == before


def test_a_newer_template_supersedes_the_one_in_flight(
    stage: WorkloadFixture, mode: PauseMode
) -> None:
    """Through weight 0, then it is the newer one's turn."""
    passes = adopted(stage, "newer", mode)
    apply(passes, "2")
    passes.until(lambda _: passes.router.weight == 5, "traffic")
    apply(passes, "3")
    passes.until(lambda s: s.reason is Reason.TEMPLATE_CHANGED, "seen")
    passes.judged = PASS
    status = passes.ends(Reason.PROMOTED)
    at_rest(passes)
    assert [entry.result.value for entry in status.history] == ["Promoted", "Superseded"]


def test_unpausing_by_hand_is_never_an_outage(stage: WorkloadFixture, mode: PauseMode) -> None:
    """By an account that no policy stops: unvetted pods go, and those that were left live on."""
    passes = adopted(stage, "unpaused", mode, replicas=4)
    apply(passes, "2")
    passes.until(lambda _: passes.router.weight == 5, "traffic")
    stable = passes.operator.target()
    patch = [{"op": "remove", "path": "/spec/paused"}]
    stage.operator.patch(DEPLOYMENTS, stage.namespace, passes.operator.name, patch)
    until(lambda: len(passes.operator.deployment_sets()) == 2, "it rolls")
    passes.until(lambda s: s.reason is Reason.UNPAUSED_BY_HAND, "seen")
    until(lambda: passes.step() and passes.operator.target().running, "stable runs")
    assert len(pods(passes)) == 4
    assert stable.template != passes.operator.target().template


def test_deleting_in_mid_release_puts_everything_back(
    stage: WorkloadFixture, mode: PauseMode
) -> None:
    """The vetted template, no restart, no canary, nothing of ours; and the release is gone."""
    passes = adopted(stage, "deleted", mode)
    before = pods(passes)
    apply(passes, "2")
    passes.until(lambda _: passes.router.weight == 5, "traffic")
    operator = passes.operator
    stage.must("delete", "cnr", operator.name, "--wait=false")
    until(lambda: passes.step() is None, "gone", 30.0)
    found = operator.deployment()
    assert "paused" not in found["spec"]
    assert "canary-controller" not in json.dumps(found["metadata"]["annotations"])
    until(lambda: operator.deployment()["status"].get("updatedReplicas") == 3, "complete")
    assert pods(passes) == before
    assert passes.router.weight is None
    assert stage.kubectl("get", "deployment", f"{operator.name}-canary").returncode != 0


def test_a_second_release_is_told_and_leaves_no_trace(
    stage: WorkloadFixture, mode: PauseMode
) -> None:
    """TargetTaken; and deleting it in the middle of the first one's release disturbs nothing."""
    first = adopted(stage, "twice", mode)
    second_name = f"{first.operator.name}-b"
    stage.release(second_name, first.operator.name)
    second = Passes(Operator(stage, second_name, mode), router=first.router)
    second.until(lambda s: s.reason is Reason.TARGET_TAKEN, "said")
    apply(first, "2")
    first.until(lambda _: first.router.weight == 5, "traffic")
    stage.must("delete", "cnr", second_name, "--wait=false")
    until(lambda: second.step() is None, "gone", 30.0)
    assert first.router.weight == 5
    assert first.operator.target().held
    assert first.operator.canary() is not None
