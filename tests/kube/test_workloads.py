"""Workloads in a fake cluster: what is seen, and what each action writes."""

from typing import Any

import pytest

from canary.api import Intent, Reason, Status
from canary.api import Release as Releasing
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    PauseTarget,
    PinMinReplicas,
    RestoreTemplate,
    ResumeTarget,
    UnmanageTarget,
    UnpinMinReplicas,
    WorkloadAction,
)
from canary.core.snapshot import PodFailure, TargetDeployment
from canary.errors import ConflictError, TransientError
from canary.interfaces import Key
from canary.kube.api_errors import ForbiddenError
from canary.kube.cached import CachedObjects
from canary.kube.objects import (
    AUTOSCALERS,
    DEPLOYMENTS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
)
from canary.kube.workloads import KubeWorkloads, PauseMode, read_pause_mode
from canary.kube.workloads.names import FINALIZER, HOLD, STABLE
from canary.kube.workloads.other_controllers import CONTROLLERS
from canary.kube.workloads.pause_mode import BINDINGS, POLICIES
from canary.kube.workloads.pods import parse_pod, why_not_created
from canary.kube.workloads.template import template_hash
from canary.operator.watches import Watches
from tests.kube.fixtures_release import (
    DEPLOYMENT,
    KEY,
    NAMESPACE,
    ReleaseOnFakeCluster,
    build_deployment,
)
from tests.kube.manual_timing import ManualTiming

VETTED = template_hash(build_deployment(DEPLOYMENT)["spec"]["template"])
IN_FLIGHT = Status(
    intent=Intent.ADVANCE,
    stable_hash=VETTED,
    release=Releasing(template="x", started_at=1.0, replicas=4),
)


def target(stage: ReleaseOnFakeCluster, status: Status | None = None) -> TargetDeployment:
    """What the operator sees of the target."""
    found = stage.workloads.read(stage.resource(status)).target
    assert found is not None
    return found


def do(stage: ReleaseOnFakeCluster, *actions: WorkloadAction) -> None:
    """The operator acts."""
    for action in actions:
        stage.workloads.apply(stage.resource(), action)


@pytest.fixture(params=PauseMode)
def stage(request: pytest.FixtureRequest) -> ReleaseOnFakeCluster:
    """An adopted target, once in each mode."""
    made = ReleaseOnFakeCluster(request.param)
    do(made, PauseTarget(VETTED))
    made.roll()
    return made


def test_the_target_is_seen_as_it_runs() -> None:
    """Replicas, both hashes, and pods with the time from which they are ready."""
    seen = target(ReleaseOnFakeCluster())
    assert (seen.replicas, seen.template, seen.running, seen.held) == (4, VETTED, VETTED, False)
    assert {pod.ready_since for pod in seen.pods} == {1767323045.0}
    assert seen.obstacle is None


STATUS_CHANGES = [
    pytest.param({"observedGeneration": 0}, id="the controller has not looked yet"),
    pytest.param({"updatedReplicas": 3}, id="not all pods are updated"),
    pytest.param({"availableReplicas": 3}, id="not all pods are available"),
    pytest.param({"replicas": 5}, id="a surplus pod is still there"),
]


@pytest.mark.parametrize("change", STATUS_CHANGES)
def test_what_is_rolling_runs_nothing_yet(change: dict[str, int]) -> None:
    """In the middle of a roll there is nothing that could be recorded as stable."""
    stage = ReleaseOnFakeCluster()
    body = stage.deployment()
    body["status"] |= change
    stage.cluster.put(DEPLOYMENTS, body)
    assert target(stage).running is None


def test_adoption_marks_and_holds(stage: ReleaseOnFakeCluster) -> None:
    """Paused, or marked for the policy, which leaves nothing to put back; twice is once."""
    found = stage.deployment()
    assert found["metadata"]["annotations"][HOLD] == "auth"
    assert found["metadata"]["annotations"][STABLE] == VETTED
    assert found["metadata"]["annotations"]["team"] == "login"
    assert found["spec"].get("paused", False) is (stage.mode is PauseMode.AT_REST)
    release = stage.cluster.get(RELEASES, NAMESPACE, "auth")
    assert release is not None
    finalizers = release["metadata"].get("finalizers", [])
    assert finalizers == ([FINALIZER] if stage.mode is PauseMode.AT_REST else [])
    assert target(stage).held
    writes = stage.cluster.writes
    do(stage, PauseTarget(VETTED))
    assert stage.cluster.writes == writes


def test_a_held_template_has_somebody_who_puts_the_vetted_one_back(
    stage: ReleaseOnFakeCluster,
) -> None:
    """The finalizer is there while the target is paused."""
    stage.change(paused=True)
    do(stage, PauseTarget(VETTED))
    release = stage.cluster.get(RELEASES, NAMESPACE, "auth")
    assert release is not None
    assert release["metadata"]["finalizers"] == [FINALIZER]


def replaced(stage: ReleaseOnFakeCluster, image: str) -> None:
    """`kubectl replace --force`: deleted with its pods, and created again without our marks."""
    stage.cluster.delete(DEPLOYMENTS, NAMESPACE, "auth", "Background")
    body = build_deployment(DEPLOYMENT)
    body["spec"]["template"]["spec"]["containers"][0]["image"] = image
    stage.cluster.create(DEPLOYMENTS, NAMESPACE, body)


def test_a_replaced_deployment_has_lost_its_stable_version(stage: ReleaseOnFakeCluster) -> None:
    """Seen as such, before and after its pods are there."""
    at_rest = Status(stable_hash=VETTED)
    assert not target(stage, at_rest).stable_lost
    replaced(stage, "auth:2")
    seen = target(stage, at_rest)
    assert (seen.stable_lost, seen.held) == (True, False)
    stage.roll()
    assert target(stage, at_rest).running == target(stage, at_rest).template


def test_a_deployment_replaced_by_itself_is_not_paused_before_it_has_its_pods(
    stage: ReleaseOnFakeCluster,
) -> None:
    """A paused Deployment makes no ReplicaSet: pausing it at once would leave it without pods."""
    replaced(stage, "auth:1")
    with pytest.raises(TransientError, match="does not exist yet"):
        do(stage, PauseTarget(VETTED))
    assert "paused" not in stage.deployment()["spec"]
    stage.roll()
    do(stage, PauseTarget(VETTED))
    assert stage.deployment()["spec"].get("paused", False) is (stage.mode is PauseMode.AT_REST)
    assert target(stage, Status(stable_hash=VETTED)).held
    assert len(target(stage).pods) == 4


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_m08_a_target_of_another_controller_is_not_touched(kind: Kind) -> None:
    """Two controllers would scale it: named, before anything is written."""
    stage = ReleaseOnFakeCluster()
    named = {CONTROLLERS[kind]: {"apiVersion": "apps/v1", "kind": "Deployment", "name": "auth"}}
    stage.cluster.put(kind, {"metadata": {"name": "web", "namespace": NAMESPACE}, "spec": named})
    obstacle = target(stage).obstacle
    assert obstacle is not None
    assert (obstacle.reason, kind.group in obstacle.message) == (Reason.TARGET_TAKEN, True)
    assert target(stage, IN_FLIGHT).obstacle is None, "a release in flight is not held up by it"


def test_another_controllers_objects_that_nobody_may_see_are_no_obstacle() -> None:
    """An operator with rights in a few namespaces goes on."""
    stage = ReleaseOnFakeCluster()

    def forbid(verb: str, kind: Kind, _namespace: str, _name: str) -> None:
        if kind in CONTROLLERS:
            raise ForbiddenError(f"you may not {verb} {kind.plural}")

    stage.cluster.before = forbid
    assert target(stage).obstacle is None


def test_a_paused_deployment_whose_replica_set_was_deleted_gets_its_pods_back() -> None:
    """Its stable manifests are applied again; paused, it would make no ReplicaSet."""
    stage = ReleaseOnFakeCluster()
    do(stage, PauseTarget(VETTED))
    stage.change(paused=True)
    for one in stage.sets():
        stage.cluster.delete(REPLICA_SETS, NAMESPACE, one["metadata"]["name"], "Background")
    assert target(stage, IN_FLIGHT).stable_lost
    stage.change("auth:1")
    assert not target(stage, IN_FLIGHT).stable_lost
    do(stage, RestoreTemplate(VETTED))
    stage.roll()
    assert len(target(stage).pods) == 4


ABANDONED = [
    pytest.param({}, "auth:1", id="at rest"),
    pytest.param({"image": "auth:2", "paused": True}, "auth:1", id="a held template goes back"),
    pytest.param({"image": "auth:2"}, "auth:2", id="what rolls is not turned back"),
]


@pytest.mark.parametrize(("change", "image"), ABANDONED)
def test_a_release_that_is_gone_leaves_a_deployment_that_rolls_again(
    change: dict[str, Any], image: str
) -> None:
    """In one write: nothing of ours stays on it, and nothing rolls that was held."""
    stage = ReleaseOnFakeCluster(PauseMode.ON_CHANGE)
    do(stage, PauseTarget(VETTED))
    if change:
        stage.change(**change)
    before, writes = [one["spec"]["replicas"] for one in stage.sets()], stage.cluster.writes
    stage.workloads.abandon(KEY)
    stage.workloads.abandon(KEY)
    found = stage.deployment()
    assert found["metadata"]["annotations"] == {"team": "login"}
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert "paused" not in found["spec"]
    assert ([one["spec"]["replicas"] for one in stage.sets()], stage.cluster.writes) == (
        before,
        writes + 1,
    )


def test_another_release_of_the_namespace_keeps_its_own() -> None:
    """Only what the release that is gone had marked."""
    stage = ReleaseOnFakeCluster(PauseMode.ON_CHANGE)
    do(stage, PauseTarget(VETTED))
    stage.workloads.abandon(Key(NAMESPACE, "other"))
    assert stage.deployment()["metadata"]["annotations"][HOLD] == "auth"


def test_a_target_without_annotations_is_adopted_too() -> None:
    """The first annotation of all is ours."""
    stage = ReleaseOnFakeCluster()
    body = stage.deployment()
    del body["metadata"]["annotations"]
    stage.cluster.put(DEPLOYMENTS, body)
    do(stage, PauseTarget(VETTED))
    assert stage.deployment()["metadata"]["annotations"][HOLD] == "auth"


def test_stable_is_known_by_its_replica_set_when_defaults_are_added(
    stage: ReleaseOnFakeCluster,
) -> None:
    """A newer API server adds a field to every template: nothing has changed for us."""
    body = stage.deployment()
    body["spec"]["template"]["spec"]["newDefault"] = "yes"
    stage.cluster.put(DEPLOYMENTS, body)
    for one in stage.sets():
        one["spec"]["template"]["spec"]["newDefault"] = "yes"
        stage.cluster.put(Kind("apps", "v1", "replicasets", "ReplicaSet"), one)
    assert target(stage).template == VETTED


def test_an_unvetted_template_that_rolls_is_not_held(stage: ReleaseOnFakeCluster) -> None:
    """Un-paused with another template, whoever did it."""
    stage.change(paused=False)
    assert not target(stage).held


def test_a_held_template_is_held_and_does_not_run(stage: ReleaseOnFakeCluster) -> None:
    """Paused with another template: wanted is new, and the vetted one runs."""
    template = stage.change(paused=True)
    stage.roll()
    seen = target(stage, IN_FLIGHT)
    assert (seen.template, seen.running, seen.held) == (template, VETTED, True)


def test_on_change_lets_a_target_at_rest_go() -> None:
    """Where the policy pauses on change, paused with the vetted template is not at rest yet."""
    stage = ReleaseOnFakeCluster(PauseMode.ON_CHANGE)
    do(stage, PauseTarget(VETTED))
    body = stage.deployment()
    body["spec"]["paused"] = True
    stage.cluster.put(DEPLOYMENTS, body)
    assert target(stage, IN_FLIGHT).held
    assert not target(stage, Status(stable_hash=VETTED)).held
    do(stage, PauseTarget(VETTED))
    assert "paused" not in stage.deployment()["spec"]
    assert target(stage).held


def test_put_back_while_held_is_one_write(stage: ReleaseOnFakeCluster) -> None:
    """The vetted template, paused, in one patch; no pod has moved."""
    vetted = stage.deployment()["spec"]["template"]
    stage.change(paused=True)
    stage.roll()
    pods, writes = names(stage, PODS), stage.cluster.writes
    do(stage, RestoreTemplate(VETTED))
    assert stage.cluster.writes == writes + 1
    assert stage.deployment()["spec"]["template"] == vetted
    assert stage.deployment()["spec"]["paused"] is True
    stage.roll()
    assert names(stage, PODS) == pods


def names(stage: ReleaseOnFakeCluster, kind: Kind) -> set[str]:
    """Of all objects of a kind."""
    return {one["metadata"]["name"] for one in stage.cluster.list(kind, NAMESPACE, {})}


def test_half_a_roll_goes_back_by_rolling(stage: ReleaseOnFakeCluster) -> None:
    """Paused it would keep unvetted pods for ever, so it is held only when they are gone."""
    stage.change(paused=False)
    stage.roll(done=2)
    do(stage, RestoreTemplate(VETTED))
    assert not stage.deployment()["spec"].get("paused")
    assert not target(stage, IN_FLIGHT).held
    with pytest.raises(TransientError, match="still being removed"):
        do(stage, PauseTarget(VETTED))
    stage.roll()
    do(stage, PauseTarget(VETTED))
    stage.roll()
    seen = target(stage)
    assert (seen.running, seen.held) == (VETTED, True)


def test_a_half_roll_that_somebody_paused_is_set_going_again(stage: ReleaseOnFakeCluster) -> None:
    """Vetted template, paused, unvetted pods left: that is not held, and Hold un-pauses first."""
    stage.change(paused=False)
    stage.roll(done=2)
    do(stage, RestoreTemplate(VETTED))
    body = stage.deployment()
    body["spec"]["paused"] = True
    stage.cluster.put(DEPLOYMENTS, body)
    assert not target(stage).held
    with pytest.raises(TransientError):
        do(stage, PauseTarget(VETTED))
    assert "paused" not in stage.deployment()["spec"]


def test_promotion_rolls_then_holds_the_new_one(stage: ReleaseOnFakeCluster) -> None:
    """Un-held only for the template that was vetted; afterwards that one is stable."""
    template = stage.change(paused=True)
    with pytest.raises(ConflictError, match="the target has template"):
        do(stage, ResumeTarget("other"))
    do(stage, ResumeTarget(template))
    stage.roll()
    seen = target(stage, IN_FLIGHT)
    assert (seen.running, seen.held) == (template, False)
    do(stage, PauseTarget(template))
    assert target(stage, IN_FLIGHT).held
    assert stage.deployment()["metadata"]["annotations"][STABLE] == template
    do(stage, RestoreTemplate(VETTED, roll=True))
    assert "paused" not in stage.deployment()["spec"]
    assert not target(stage, IN_FLIGHT).held


@pytest.mark.parametrize(("limit", "keeps"), [(0, False), (1, True), (None, True)])
def test_whether_the_version_before_is_kept(limit: int | None, *, keeps: bool) -> None:
    """10 is Kubernetes' own default."""
    stage = ReleaseOnFakeCluster()
    stage.change("auth:1", revisionHistoryLimit=limit)
    assert target(stage).keeps_history is keeps


def test_a_template_that_nothing_keeps_cannot_be_put_back(stage: ReleaseOnFakeCluster) -> None:
    """Said with the likely cause, not guessed."""
    with pytest.raises(TransientError, match="revisionHistoryLimit"):
        do(stage, RestoreTemplate("unknown"))


def test_a_change_between_look_and_write_is_never_rolled(stage: ReleaseOnFakeCluster) -> None:
    """Somebody is quicker: the patch is refused, and the next pass looks again."""
    template = stage.change(paused=True)
    turns = iter((1,))

    def quicker(verb: str, *_: object) -> None:
        if verb == "patch" and next(turns, None):
            stage.change("auth:3")

    stage.cluster.before = quicker
    with pytest.raises(ConflictError):
        do(stage, ResumeTarget(template))
    assert stage.deployment()["spec"]["paused"] is True


def test_release_leaves_nothing_of_ours(stage: ReleaseOnFakeCluster) -> None:
    """As the user wrote it; a second time there is nothing to do, nor without a target."""
    do(stage, UnmanageTarget())
    found = stage.deployment()
    assert found["metadata"]["annotations"] == {"team": "login"}
    assert found["spec"] == build_deployment(DEPLOYMENT)["spec"]
    writes = stage.cluster.writes
    do(stage, UnmanageTarget())
    assert stage.cluster.writes == writes
    stage.cluster.delete(DEPLOYMENTS, NAMESPACE, "auth", "Background")
    do(stage, UnmanageTarget())


def test_the_canary_is_made_scaled_and_deleted(stage: ReleaseOnFakeCluster) -> None:
    """Idempotent at each step; another template is refused; ours only."""
    template = stage.change(paused=True)
    do(stage, EnsureCanary(template, 2), EnsureCanary(template, 2))
    stage.roll("auth-canary")
    canary = stage.workloads.read(stage.resource()).canary
    assert canary is not None
    assert (canary.template, canary.replicas, canary.ready) == (template, 2, 2)
    assert len(target(stage).pods) == 4
    with pytest.raises(ConflictError, match="has template"):
        do(stage, EnsureCanary("other", 2))
    do(stage, EnsureCanary(template, 3))
    assert stage.deployment("auth-canary")["spec"]["replicas"] == 3
    do(stage, DeleteCanary(), DeleteCanary())
    assert stage.workloads.read(stage.resource()).canary is None
    assert names(stage, SERVICES) == {"auth"}


def test_a_canary_is_made_of_the_template_that_was_meant(stage: ReleaseOnFakeCluster) -> None:
    """The user was quicker: refused."""
    template = stage.change(paused=True)
    stage.change("auth:3")
    with pytest.raises(ConflictError, match="the target has template"):
        do(stage, EnsureCanary(template, 2))


def test_a_canary_without_its_service_counts_as_none_and_gets_it_back(
    stage: ReleaseOnFakeCluster,
) -> None:
    """Somebody deleted our Service: no replicas that serve, until it is there again."""
    template = stage.change(paused=True)
    do(stage, EnsureCanary(template, 2))
    stage.cluster.delete(SERVICES, NAMESPACE, "auth-canary", "Background")
    canary = stage.workloads.read(stage.resource()).canary
    assert canary is not None
    assert canary.replicas == 0
    do(stage, EnsureCanary(template, 2))
    assert names(stage, SERVICES) == {"auth", "auth-canary"}


def test_other_peoples_objects_are_never_deleted(stage: ReleaseOnFakeCluster) -> None:
    """A Deployment that happens to have the canary's name: seen, said, left alone."""
    body = build_deployment(DEPLOYMENT)
    body["metadata"]["name"] = "auth-canary"
    stage.cluster.create(DEPLOYMENTS, NAMESPACE, body)
    found = target(stage).obstacle
    assert found is not None
    assert found.reason is Reason.NAME_TAKEN
    do(stage, DeleteCanary())
    assert stage.workloads.read(stage.resource()).canary is None
    assert "auth-canary" in names(stage, DEPLOYMENTS)


def test_workers_without_a_service_get_a_canary(stage: ReleaseOnFakeCluster) -> None:
    """With `replicas` and no Service of their name: canary pods, no Service, all gone at the end."""
    stage.cluster.delete(SERVICES, NAMESPACE, "auth", "Background")
    replicas = {"op": "replace", "path": "/spec/traffic", "value": {"replicas": {}}}
    stage.cluster.patch(RELEASES, NAMESPACE, "auth", [replicas])
    seen = target(stage)
    assert seen.obstacle is None
    do(stage, EnsureCanary(seen.template, 2))
    canary = stage.workloads.read(stage.resource()).canary
    assert canary is not None
    assert canary.replicas == 2
    assert "auth-canary" in names(stage, DEPLOYMENTS)
    assert "auth-canary" not in names(stage, SERVICES)
    do(stage, DeleteCanary())
    assert "auth-canary" not in names(stage, DEPLOYMENTS)


SERVICE_CHANGES = [
    pytest.param(None, {}, Reason.SERVICE_NOT_FOUND, id="no Service"),
    pytest.param({}, {}, Reason.NOT_ISOLATED, id="a Service that selects nothing"),
    pytest.param({"app": "x"}, {}, Reason.NOT_ISOLATED, id="a Service of other pods"),
    pytest.param(
        {"app": "auth"},
        {"labels": ["tier"]},
        Reason.NOT_ISOLATED,
        id="a label it does not select on",
    ),
]


@pytest.mark.parametrize(("selector", "isolation", "reason"), SERVICE_CHANGES)
def test_what_stands_in_the_way_is_said(
    stage: ReleaseOnFakeCluster,
    selector: dict[str, str] | None,
    isolation: dict[str, list[str]],
    reason: Reason,
) -> None:
    """Before any release starts, with the reason that people look up."""
    service = stage.cluster.get(SERVICES, NAMESPACE, "auth")
    assert service is not None
    service["spec"]["selector"] = selector
    if selector is None:
        stage.cluster.delete(SERVICES, NAMESPACE, "auth", "Background")
    else:
        stage.cluster.put(SERVICES, service)
    if isolation:
        change = {"op": "add", "path": "/spec/isolation", "value": isolation}
        stage.cluster.patch(RELEASES, NAMESPACE, "auth", [change])
    found = target(stage).obstacle
    assert found is not None
    assert found.reason is reason


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        pytest.param("auth", Reason.TARGET_TAKEN, id="it guards the same target: taken"),
        pytest.param("else", None, id="it guards another target now: free"),
        pytest.param(None, None, id="it is gone: free"),
    ],
)
def test_one_target_has_one_release(
    stage: ReleaseOnFakeCluster, other: str | None, reason: Reason | None
) -> None:
    """The annotation names who guards; only a release that is there and means it counts."""
    mark = {"op": "add", "path": "/metadata/annotations/canary-controller.dev~1hold", "value": "b"}
    stage.cluster.patch(DEPLOYMENTS, NAMESPACE, "auth", [mark])
    if other is not None:
        body = stage.cluster.get(RELEASES, NAMESPACE, "auth")
        assert body is not None
        body["metadata"], body["spec"]["target"] = {"name": "b"}, {"name": other}
        stage.cluster.create(RELEASES, NAMESPACE, body)
    found = target(stage).obstacle
    assert (found.reason if found else None) is reason


def test_two_that_adopt_at_once_do_not_both_succeed() -> None:
    """The other's mark came between our look and our write."""
    stage = ReleaseOnFakeCluster()
    mark = {"op": "add", "path": "/metadata/annotations/canary-controller.dev~1hold", "value": "b"}

    def quicker(verb: str, kind: Kind, *_: object) -> None:
        if verb == "patch" and kind == DEPLOYMENTS:
            stage.cluster.before = None
            stage.cluster.edit(DEPLOYMENTS, NAMESPACE, "auth", [mark])

    stage.cluster.before = quicker
    with pytest.raises(ConflictError):
        do(stage, PauseTarget(VETTED))


SCALERS = [
    pytest.param({"minReplicas": 2, "maxReplicas": 9}, 4, id="raised to the count at the start"),
    pytest.param({"maxReplicas": 9}, 4, id="absent means 1, and is absent again afterwards"),
    pytest.param({"minReplicas": 2, "maxReplicas": 3}, 3, id="never above the maximum"),
    pytest.param({"minReplicas": 6, "maxReplicas": 9}, 6, id="high enough: left alone"),
]


def scaler(spec: dict[str, Any]) -> Object:
    """An autoscaler of the target."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "auth"}
    return {"metadata": {"name": "auth"}, "spec": {"scaleTargetRef": reference, **spec}}


@pytest.mark.parametrize(("spec", "during"), SCALERS)
def test_no_autoscaler_takes_stable_below_its_start(spec: dict[str, Any], during: int) -> None:
    """Raised once, and put back exactly."""
    stage = ReleaseOnFakeCluster()
    written = stage.cluster.create(AUTOSCALERS, NAMESPACE, scaler(spec))
    do(stage, PinMinReplicas(4), PinMinReplicas(4))
    raised = stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth")
    assert raised is not None
    assert raised["spec"]["minReplicas"] == during
    do(stage, UnpinMinReplicas(), UnpinMinReplicas())
    after = stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth")
    assert after is not None
    assert after["spec"] == written["spec"]
    assert not after["metadata"].get("annotations")


def test_the_autoscaler_is_given_back_without_a_claim_on_it() -> None:
    """Whoever applies their manifest afterwards, without force, meets no conflict with us."""
    stage = ReleaseOnFakeCluster()
    stage.cluster.create(AUTOSCALERS, NAMESPACE, scaler({"minReplicas": 2, "maxReplicas": 9}))
    do(stage, PinMinReplicas(4))
    users = {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:maxReplicas": {}}}}
    mine = {"manager": "canary-controller", "fieldsV1": {"f:spec": {"f:minReplicas": {}}}}
    noted = {"op": "add", "path": "/metadata/managedFields", "value": [users, mine]}
    stage.cluster.edit(AUTOSCALERS, NAMESPACE, "auth", [noted])
    do(stage, UnpinMinReplicas())
    after = stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth")
    assert after is not None
    assert after["spec"]["minReplicas"] == 2
    assert after["metadata"]["managedFields"] == [users]


def test_a_claim_that_could_not_be_given_up_at_once_is_given_up_later() -> None:
    """Its controller writes between our two writes; the operator reads it from its caches."""
    stage = ReleaseOnFakeCluster()
    mine = {"manager": "canary-controller", "fieldsV1": {"f:spec": {"f:minReplicas": {}}}}
    theirs = {"manager": "kube-controller-manager", "subresource": "status"}
    made = scaler({"minReplicas": 2, "maxReplicas": 9})
    made["metadata"]["managedFields"] = [mine, theirs]
    stage.cluster.create(AUTOSCALERS, NAMESPACE, made)
    do(stage, PinMinReplicas(4))
    caches = Watches(stage.cluster, ManualTiming(), (AUTOSCALERS,)).caches
    caches[0].replace(
        stage.cluster.list(AUTOSCALERS, NAMESPACE, {}), str(stage.cluster.version()[0])
    )
    cached = CachedObjects(stage.cluster, caches)
    workloads = KubeWorkloads(cached, lambda: stage.mode, stage.webhooks)
    patches = iter([None, theirs])

    def quicker(verb: str, kind: Kind, *_: object) -> None:
        if verb == "patch" and kind == AUTOSCALERS and next(patches, None):
            stage.cluster.before = None
            moved = {"op": "replace", "path": "/metadata/managedFields", "value": [theirs, mine]}
            caches[0].apply_update(stage.cluster.edit(AUTOSCALERS, NAMESPACE, "auth", [moved]))

    stage.cluster.before = quicker
    with pytest.raises(ConflictError):
        workloads.apply(stage.resource(), UnpinMinReplicas())
    workloads.apply(stage.resource(), UnpinMinReplicas())
    after = stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth")
    assert after is not None
    assert after["spec"]["minReplicas"] == 2
    assert after["metadata"]["managedFields"] == [theirs]


def test_an_autoscaler_of_keda_is_named_and_not_written() -> None:
    """KEDA writes its own floor back at once: that would be a fight."""
    stage = ReleaseOnFakeCluster()
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "auth", "uid": "k"}
    made = scaler({"minReplicas": 2, "maxReplicas": 9})
    made["metadata"]["ownerReferences"] = [owner]
    written = stage.cluster.create(AUTOSCALERS, NAMESPACE, made)
    do(stage, PinMinReplicas(4), UnpinMinReplicas())
    assert stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth") == written
    assert target(stage).scaled_by == "ScaledObject auth"


def test_what_a_person_wrote_meanwhile_stays() -> None:
    """The user changed minReplicas during the release: only our note goes."""
    stage = ReleaseOnFakeCluster()
    stage.cluster.create(AUTOSCALERS, NAMESPACE, scaler({"minReplicas": 2, "maxReplicas": 9}))
    do(stage, PinMinReplicas(4))
    change = {"op": "replace", "path": "/spec/minReplicas", "value": 7}
    stage.cluster.edit(AUTOSCALERS, NAMESPACE, "auth", [change])
    do(stage, UnpinMinReplicas())
    after = stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth")
    assert after is not None
    assert after["spec"]["minReplicas"] == 7


def test_a_manifest_that_takes_the_floor_away_is_answered_and_put_back_at_the_end() -> None:
    """Applied again in mid-release: raised once more, and what was written last is what returns."""
    stage = ReleaseOnFakeCluster()
    stage.cluster.create(AUTOSCALERS, NAMESPACE, scaler({"minReplicas": 2, "maxReplicas": 9}))
    do(stage, PinMinReplicas(4))
    change = {"op": "replace", "path": "/spec/minReplicas", "value": 3}
    stage.cluster.edit(AUTOSCALERS, NAMESPACE, "auth", [change])
    do(stage, PinMinReplicas(4))
    raised = stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth")
    assert raised is not None
    assert raised["spec"]["minReplicas"] == 4
    do(stage, UnpinMinReplicas())
    after = stage.cluster.get(AUTOSCALERS, NAMESPACE, "auth")
    assert after is not None
    assert after["spec"]["minReplicas"] == 3


def container(**status: Any) -> dict[str, Any]:
    """The status of one container."""
    return {"name": "app", "restartCount": 2, **status}


POD_STATES = [
    pytest.param(container(state={"running": {}}), None, id="it runs"),
    pytest.param(
        container(state={"waiting": {"reason": "CrashLoopBackOff"}}),
        PodFailure.CRASH_LOOP,
        id="it crashes again and again",
    ),
    pytest.param(
        container(state={"running": {}}, lastState={"terminated": {"reason": "OOMKilled"}}),
        PodFailure.OUT_OF_MEMORY,
        id="it runs again after it was killed for memory",
    ),
    pytest.param(
        container(state={"waiting": {"reason": "ImagePullBackOff"}}),
        PodFailure.NO_IMAGE,
        id="there is no image",
    ),
]


@pytest.mark.parametrize(("status", "trouble"), POD_STATES)
def test_what_ails_a_pod(status: dict[str, Any], trouble: PodFailure | None) -> None:
    """Read off what the kubelet says."""
    found = parse_pod({"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}})
    assert (found.trouble, found.restarts, found.ready) == (trouble, 2, False)


def test_pods_on_their_way_out_are_left_out() -> None:
    """Terminating and evicted ones serve nobody."""
    stage = ReleaseOnFakeCluster()
    first, second = stage.cluster.list(PODS, NAMESPACE, {})[:2]
    first["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    first["metadata"]["finalizers"] = ["x/y"]
    second["status"]["phase"] = "Failed"
    stage.cluster.put(PODS, first)
    stage.cluster.put(PODS, second)
    assert len(target(stage).pods) == 2


SOME: Object = {"matchResources": {"namespaceSelector": {"matchLabels": {"team": "a"}}}}
ALL: Object = {"matchResources": {"matchPolicy": "Equivalent", "namespaceSelector": {}}}


@pytest.mark.parametrize(
    ("spec", "mode"),
    [
        pytest.param(ALL, PauseMode.ON_CHANGE, id="what the API server fills in narrows nothing"),
        pytest.param(SOME, PauseMode.AT_REST, id="some namespaces only"),
    ],
)
def test_a_binding_that_may_miss_a_target_is_not_relied_upon(spec: Object, mode: PauseMode) -> None:
    """A target that nobody holds would roll unvetted, so the mode that works everywhere is taken."""
    stage = ReleaseOnFakeCluster()
    for kind in (POLICIES, BINDINGS):
        stage.cluster.create(kind, "", {"metadata": {"name": "canary-hold"}, "spec": spec})
    assert read_pause_mode(stage.cluster, "canary-hold") is mode


@pytest.mark.parametrize(
    ("kinds", "served", "mode"),
    [
        pytest.param(
            (POLICIES, BINDINGS), (POLICIES, BINDINGS), PauseMode.ON_CHANGE, id="policy and binding"
        ),
        pytest.param((POLICIES,), (POLICIES, BINDINGS), PauseMode.AT_REST, id="no binding"),
        pytest.param((), (), PauseMode.AT_REST, id="not served"),
    ],
)
def test_the_mode_is_what_the_cluster_can(
    kinds: tuple[Kind, ...], served: tuple[Kind, ...], mode: PauseMode
) -> None:
    """OnChange needs both objects and an API server that knows them."""
    stage = ReleaseOnFakeCluster()
    for kind in kinds:
        stage.cluster.create(kind, "", {"metadata": {"name": "canary-hold"}})
    stage.cluster.unserved = {POLICIES, BINDINGS} - set(served)
    assert read_pause_mode(stage.cluster, "canary-hold") is mode


def test_the_canary_service_follows_the_ports_of_the_users() -> None:
    """A port that moves in mid-release moves for the canary as well, without a new release."""
    stage = ReleaseOnFakeCluster()
    do(stage, EnsureCanary(target(stage).template, 2))
    service = stage.cluster.get(SERVICES, NAMESPACE, "auth")
    assert service is not None
    ports = [{**service["spec"]["ports"][0], "targetPort": 9999, "nodePort": 30001}]
    moved = {"op": "replace", "path": "/spec/ports", "value": ports}
    stage.cluster.patch(SERVICES, NAMESPACE, "auth", [moved])
    seen = stage.workloads.read(stage.resource()).canary
    assert seen is not None
    assert not seen.follows_service
    do(stage, EnsureCanary(seen.template, seen.replicas))
    ours = stage.cluster.get(SERVICES, NAMESPACE, "auth-canary")
    assert ours is not None
    (port,) = ours["spec"]["ports"]
    assert (port["targetPort"], "nodePort" in port) == (9999, False)
    again = stage.workloads.read(stage.resource()).canary
    assert again is not None
    assert again.follows_service


def test_a_service_that_has_lost_its_ports_is_an_obstacle() -> None:
    """A headless Service may have none; the canary's keeps those that it has."""
    stage = ReleaseOnFakeCluster()
    service = stage.cluster.get(SERVICES, NAMESPACE, "auth")
    assert service is not None
    do(stage, EnsureCanary(target(stage).template, 2))
    headless = {key: value for key, value in service["spec"].items() if key != "ports"}
    stage.cluster.put(SERVICES, {**service, "spec": {**headless, "clusterIP": "None"}})
    found = target(stage).obstacle
    assert found is not None
    assert found.reason is Reason.SERVICE_SELECTS_NO_POD
    assert "Service auth has no ports" in found.message
    seen = stage.workloads.read(stage.resource()).canary
    assert seen is not None
    assert seen.follows_service
    do(stage, EnsureCanary(seen.template, seen.replicas))
    kept = stage.cluster.get(SERVICES, NAMESPACE, "auth-canary")
    assert kept is not None
    assert kept["spec"]["ports"]


def test_a_port_renamed_in_service_and_deployment_at_once_is_an_obstacle() -> None:
    """The held Deployment keeps pods with the old name, so the Service has no endpoints."""
    stage = ReleaseOnFakeCluster()
    rename = {"op": "replace", "path": "/spec/ports/0/targetPort", "value": "api"}
    stage.cluster.patch(SERVICES, NAMESPACE, "auth", [rename])
    found = target(stage).obstacle
    assert found is not None
    assert found.reason is Reason.SERVICE_SELECTS_NO_POD
    assert "Service auth sends to the port named api" in found.message
    assert "promote" not in found.message, "the new version does not have the port either"
    body = stage.deployment()
    ports = [{"name": "api", "containerPort": 80}]
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = ports
    stage.cluster.put(DEPLOYMENTS, body)
    found = target(stage).obstacle
    assert found is not None
    assert "canary promote auth --skip-analysis --reason TEXT" in found.message


@pytest.mark.parametrize(
    ("new", "blocked"),
    [
        pytest.param([9090], True, id="moved"),
        pytest.param([80, 9090], False, id="declared at last, by pods that may have had it before"),
        pytest.param([80], False, id="not declared by either version"),
    ],
)
def test_a_number_moved_in_service_and_deployment_at_once_is_an_obstacle(
    new: list[int], *, blocked: bool
) -> None:
    """Running pods answer at the old one only."""
    stage = ReleaseOnFakeCluster()
    body = stage.deployment()
    for container in body["spec"]["template"]["spec"]["containers"]:
        container["ports"] = [{"containerPort": 80}]
    stage.cluster.put(DEPLOYMENTS, body)
    stage.roll()
    do(stage, PauseTarget(target(stage).template))
    move = {"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9090}
    stage.cluster.patch(SERVICES, NAMESPACE, "auth", [move])
    assert target(stage).obstacle is None
    body = stage.deployment()
    for container in body["spec"]["template"]["spec"]["containers"]:
        container["ports"] = [{"containerPort": number} for number in new]
    stage.cluster.put(DEPLOYMENTS, body)
    found = target(stage).obstacle
    assert (found is not None) is blocked
    if found is not None:
        assert (
            "Port 80 of Service auth sends to port 9090, which no running pod has" in found.message
        )


QUOTA = 'pods "auth-canary-1" is forbidden: exceeded quota: small, requested: pods=1'


@pytest.mark.parametrize(
    ("conditions", "waiting", "said"),
    [
        pytest.param(
            [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": QUOTA,
                }
            ],
            None,
            f"FailedCreate: {QUOTA}.",
            id="c01: a quota lets in half of the canary",
        ),
        pytest.param(
            [],
            {"reason": "ImagePullBackOff", "message": "Back-off"},
            "ErrImagePull: image localhost/no-such:1 cannot be pulled: Back-off.",
            id="c13: the image cannot be pulled",
        ),
        pytest.param(
            [{"type": "ReplicaFailure", "status": "False"}],
            {"reason": "ContainerCreating"},
            "",
            id="nothing is wrong",
        ),
    ],
)
def test_why_canary_pods_do_not_come_up(
    conditions: list[Object], waiting: Object | None, said: str
) -> None:
    """In the words of the API server."""
    container = {"image": "localhost/no-such:1", "state": {"waiting": waiting} if waiting else {}}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}
    assert why_not_created({"status": {"conditions": conditions}}, [pod]) == said


@pytest.mark.parametrize(
    ("ready", "initialized", "lost"),
    [
        pytest.param(("False", 5), ("True", 5), None, id="it was never ready"),
        pytest.param(("False", 5), ("True", 40), None, id="its init containers took a while"),
        pytest.param(("False", 5), ("False", 5), None, id="its init containers still run"),
        pytest.param(("False", 50), ("True", 5), 50, id="it was ready, and no longer is"),
        pytest.param(("Unknown", 50), ("True", 5), 50, id="its node is lost"),
        pytest.param(("True", 50), ("True", 5), None, id="it is ready"),
    ],
)
def test_when_a_pod_stopped_being_ready(
    ready: tuple[str, int], initialized: tuple[str, int], lost: int | None
) -> None:
    """Read from the conditions that the kubelet writes."""
    conditions = [
        {"type": kind, "status": status, "lastTransitionTime": f"1970-01-01T00:00:{second:02}Z"}
        for kind, (status, second) in (("Ready", ready), ("Initialized", initialized))
    ]
    pod = parse_pod({"metadata": {"name": "p"}, "status": {"conditions": conditions}})
    assert pod.lost_ready_at == lost
