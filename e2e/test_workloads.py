"""The release model on a real API server, with real controllers and pods, in both holding modes."""

import json
import os

import pytest

from canary.api import CheckStatus, Intent, Reason, Status, Verdict
from canary.api import Release as Releasing
from canary.core.plan import (
    DeleteCanary,
    EnsureCanary,
    PauseTarget,
    PinMinReplicas,
    RestoreTemplate,
    ResumeTarget,
    RunChecks,
    UnmanageTarget,
    UnpinMinReplicas,
)
from canary.errors import ConflictError
from canary.kube.workloads import PauseMode, read_pause_mode
from e2e.fixtures_workloads import Operator, WorkloadFixture, deployment, policy, stage, until

__all__ = ["policy", "stage"]

MODES = [
    pytest.param(PauseMode.AT_REST, id="held at rest"),
    pytest.param(PauseMode.ON_CHANGE, id="held on change"),
]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> PauseMode:
    """Each test runs once per way of holding; the policy is only there where it is meant."""
    if request.param is PauseMode.ON_CHANGE:
        request.getfixturevalue("policy")
    found: PauseMode = request.param
    return found


def guarded(stage: WorkloadFixture, name: str, mode: PauseMode, replicas: int = 2) -> Operator:
    """A target that runs version 1 and was adopted."""
    name = f"{name}-{mode.value.lower()}"
    stage.deploy(name, replicas)
    operator = Operator(stage, name, mode)
    operator.adopt()
    return operator


def changed(operator: Operator, version: str = "2", **pod: object) -> str:
    """The user applies another version: its hash."""
    body = deployment(operator.name, version, len(operator.target().pods), **pod)
    operator.stage.must("apply", "-f", "-", stdin=body)
    return operator.target().template


def settled(operator: Operator) -> None:
    """The Deployment controller has seen what was written last."""

    def seen() -> bool:
        found = operator.deployment()
        return bool(found["status"]["observedGeneration"] >= found["metadata"]["generation"])

    until(seen, "the Deployment controller has looked")


def test_the_mode_follows_from_what_the_cluster_serves(stage: WorkloadFixture, policy: str) -> None:
    """With the policy there, OnChange; without it, AtRest."""
    stage.must(
        *("create", "clusterrole", f"{stage.namespace}-see", "--verb=get"),
        "--resource=mutatingadmissionpolicies,mutatingadmissionpolicybindings",
    )
    stage.must(
        *("create", "clusterrolebinding", f"{stage.namespace}-see"),
        *(f"--clusterrole={stage.namespace}-see",),
        f"--serviceaccount={stage.namespace}:controller",
    )
    try:
        assert read_pause_mode(stage.operator, policy) is PauseMode.ON_CHANGE
        assert read_pause_mode(stage.operator, f"{policy}-not-there") is PauseMode.AT_REST
    finally:
        stage.must("delete", "clusterrolebinding,clusterrole", f"{stage.namespace}-see")


def test_adoption_restarts_no_pod(stage: WorkloadFixture, mode: PauseMode) -> None:
    """The same pods, still; held; a finalizer only where there is something to put back."""
    name = f"adopt-{mode.value.lower()}"
    stage.deploy(name)
    before = stage.pods(name)
    operator = Operator(stage, name, mode)
    operator.adopt()
    settled(operator)
    assert stage.pods(name) == before
    assert operator.target().held
    assert bool(operator.deployment()["spec"].get("paused")) is (mode is PauseMode.AT_REST)
    finalizers = stage.read("cnr", name)["metadata"].get("finalizers", [])
    assert bool(finalizers) is (mode is PauseMode.AT_REST)
    held = operator.deployment()
    operator.do(PauseTarget(operator.target().template))
    assert operator.deployment() == held


CHANGES = [
    pytest.param(("apply", "-f", "-"), id="apply"),
    pytest.param(
        ("apply", "--server-side", "--force-conflicts", "-f", "-"), id="server-side apply, forced"
    ),
    pytest.param(("set", "env", "deployment/{}", "MORE=1"), id="set env"),
    pytest.param(("set", "image", "deployment/{}", "app=localhost/other:1"), id="set image"),
    pytest.param(("rollout", "restart", "deployment/{}"), id="rollout restart"),
    pytest.param(("replace", "-f", "-"), id="replace"),
]


@pytest.mark.parametrize("command", CHANGES)
def test_no_change_rolls_by_itself(
    stage: WorkloadFixture,
    mode: PauseMode,
    command: tuple[str, ...],
    request: pytest.FixtureRequest,
) -> None:
    """Whichever way the template changes, no pod of it comes up, also when done twice."""
    if mode is PauseMode.AT_REST and "replace" in command:
        pytest.skip("AtRest does not stop a replace that drops `paused`: it is put back instead")
    index = request.node.callspec.indices["command"]
    operator = guarded(stage, f"change-{index}", mode)
    before = stage.pods(operator.name)
    for version in ("2", "3"):
        body = deployment(operator.name, version) if "-" in command else None
        done = stage.kubectl(*(part.format(operator.name) for part in command), stdin=body)
        assert done.returncode == 0 or "paused" in done.stderr, done.stderr
        settled(operator)
        assert stage.pods(operator.name) == before
        assert operator.target().held
    assert len(stage.items("replicasets", f"app={operator.name}")) == 1


def test_no_endpoint_of_the_users_service_is_a_canary(
    stage: WorkloadFixture, mode: PauseMode
) -> None:
    """Canary pods are behind our Service only, and nothing that counts the target's counts them."""
    operator = guarded(stage, "isolated", mode)
    template = changed(operator)
    operator.do(EnsureCanary(template, 2))
    canary = until(lambda: (c := operator.canary()) and c.ready == 2 and c, "the canary is ready")
    assert (canary.template, canary.replicas) == (template, 2)
    names = {pod.name for pod in canary.pods}
    assert names.isdisjoint(stage.pods(operator.name))
    assert behind(stage, operator.name) == set(stage.pods(operator.name))
    until(lambda: behind(stage, f"{operator.name}-canary") == names, "our Service has endpoints")
    assert {pod.name for pod in operator.target().pods} == set(stage.pods(operator.name))
    with pytest.raises(ConflictError, match="has template"):
        operator.workloads.apply(stage.resource(operator.name), EnsureCanary("other", 1))
    operator.do(EnsureCanary(template, 0))
    until(lambda: (c := operator.canary()) and not c.pods, "the canary is scaled down")
    operator.do(DeleteCanary())
    operator.do(DeleteCanary())
    until(lambda: not stage.items("replicasets", "canary-controller.dev/role=canary"), "gone")
    assert operator.canary() is None


def behind(stage: WorkloadFixture, service: str) -> set[str]:
    """Names of the pods behind a Service."""
    slices = stage.items("endpointslices", f"kubernetes.io/service-name={service}")
    return {
        endpoint["targetRef"]["name"] for one in slices for endpoint in one.get("endpoints") or []
    }


def test_putting_back_while_held_restarts_none(stage: WorkloadFixture, mode: PauseMode) -> None:
    """The vetted template, byte for byte, and the very same pods; then let go: nothing moves."""
    operator = guarded(stage, "back", mode)
    stable, vetted = operator.target().template, operator.deployment()["spec"]["template"]
    before = stage.pods(operator.name)
    assert changed(operator) != stable
    operator.do(RestoreTemplate(stable))
    settled(operator)
    assert operator.deployment()["spec"]["template"] == vetted
    assert operator.target().template == stable
    operator.do(UnmanageTarget())
    settled(operator)
    assert until(lambda: operator.target().running, "stable") == stable
    assert stage.pods(operator.name) == before


def test_promotion_rolls_and_holds_again(stage: WorkloadFixture, mode: PauseMode) -> None:
    """The user's own strategy rolls the vetted template; then the next one is held."""
    operator = guarded(stage, "promote", mode)
    before, stable = stage.pods(operator.name), operator.target().template
    template = changed(operator)
    operator.do(ResumeTarget(template))
    assert not operator.target().held
    until(lambda: operator.target().running == template, "the target rolled")
    operator.do(PauseTarget(template))
    assert operator.target().held
    after = stage.pods(operator.name)
    assert after.keys().isdisjoint(before)
    changed(operator, "3")
    settled(operator)
    assert stage.pods(operator.name) == after
    operator.do(RestoreTemplate(stable, roll=True))
    until(lambda: operator.target().running == stable, "rolled back to what was before")
    assert len(stage.items("replicasets", f"app={operator.name}")) == 2


def test_a_roll_is_refused_when_the_template_moved_on(
    stage: WorkloadFixture, mode: PauseMode
) -> None:
    """What is un-held is what was vetted, never what came in between."""
    operator = guarded(stage, "moved", mode)
    vetted = changed(operator)
    changed(operator, "3")
    with pytest.raises(ConflictError, match="the target has template"):
        operator.workloads.apply(stage.resource(operator.name), ResumeTarget(vetted))


def test_unpausing_by_hand_ends_with_the_vetted_pods(
    stage: WorkloadFixture, mode: PauseMode
) -> None:
    """A half-done roll of pods that never get ready goes back; pods that were left live on."""
    operator = guarded(stage, "unpaused", mode, replicas=4)
    stable, before = operator.target().template, stage.pods(operator.name)
    probe = {"tcpSocket": {"port": 81}, "periodSeconds": 1}
    template = changed(operator, readinessProbe=probe)
    operator.do(ResumeTarget(template))  # the policy stops the user, not the operator's account
    until(lambda: len(operator.deployment_sets()) == 2, "it rolls")
    operator.do(RestoreTemplate(stable))
    operator.do(PauseTarget(stable))
    settled(operator)
    assert operator.target().held
    until(lambda: operator.target().running == stable, "stable runs")
    lived = stage.pods(operator.name).keys() & before.keys()
    assert len(lived) >= 3
    assert len(stage.pods(operator.name)) == 4


def test_deleting_the_release_leaves_nothing_of_ours(
    stage: WorkloadFixture, mode: PauseMode
) -> None:
    """Template, annotations and `paused` are the user's again, and the canary goes with it."""
    operator = guarded(stage, "deleted", mode)
    stable = operator.target().template
    template = changed(operator)
    operator.do(PauseTarget(stable))
    operator.do(EnsureCanary(template, 1))
    stage.must("delete", "cnr", operator.name, "--wait=false")
    resource = stage.resource(operator.name)
    assert resource.deleting_since is not None
    for action in (RestoreTemplate(stable), UnmanageTarget()):
        operator.workloads.apply(resource, action)
    stage.store().remove_finalizer(resource)
    stage.store().remove_finalizer(resource)
    until(lambda: not stage.items("replicasets", "canary-controller.dev/role=canary"), "gone")
    found = operator.deployment()
    assert not found["spec"].get("paused")
    assert not [key for key in found["metadata"]["annotations"] if "canary" in key]


def test_an_autoscaler_keeps_stable_as_large_as_it_was(stage: WorkloadFixture) -> None:
    """MinReplicas is raised for the release, and put back to what it was."""
    operator = guarded(stage, "scaled", PauseMode.AT_REST)
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": operator.name},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": operator.name,
            },
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 50},
                    },
                }
            ],
        },
    }
    stage.must("apply", "-f", "-", stdin=scaler)
    written = stage.read("hpa", operator.name)
    operator.do(PinMinReplicas(3))
    operator.do(PinMinReplicas(3))
    assert stage.read("hpa", operator.name)["spec"]["minReplicas"] == 3
    operator.do(UnpinMinReplicas())
    operator.do(UnpinMinReplicas())
    after = stage.read("hpa", operator.name)
    assert after["spec"] == written["spec"]
    assert after["metadata"]["annotations"] == written["metadata"]["annotations"]


def test_a_target_without_pods_is_adopted_and_held(stage: WorkloadFixture, mode: PauseMode) -> None:
    """Scaled to 0 there is still a template that runs everywhere: nowhere."""
    operator = guarded(stage, "empty", mode, replicas=0)
    assert operator.target().replicas == 0
    stable = operator.target().template
    stage.must("set", "env", f"deployment/{operator.name}", "MORE=1")
    settled(operator)
    assert operator.target().template != stable
    assert operator.target().held
    operator.do(RestoreTemplate(stable))
    assert operator.target().template == stable


def test_a_replace_that_drops_everything_is_put_back(stage: WorkloadFixture) -> None:
    """Held at rest, `kubectl replace` slips through; the vetted version comes back."""
    operator = guarded(stage, "replaced", PauseMode.AT_REST)
    stable = operator.target().template
    body = deployment(operator.name, "2")
    stage.must("replace", "-f", "-", stdin=body)
    assert not operator.target().held
    operator.do(RestoreTemplate(stable))
    operator.do(PauseTarget(stable))
    until(lambda: operator.target().running == stable, "stable runs")
    assert operator.target().held


def test_one_target_has_one_release(stage: WorkloadFixture, mode: PauseMode) -> None:
    """A second release is told so, cannot hold it, and its deletion lets nothing go."""
    operator = guarded(stage, "twice", mode)
    second = f"{operator.name}-b"
    stage.release(second, operator.name)
    workloads = operator.workloads
    target = workloads.read(stage.resource(second)).target
    assert target is not None
    assert target.obstacle is not None
    assert target.obstacle.reason is Reason.TARGET_TAKEN
    assert operator.target().obstacle is None
    before = operator.deployment()["spec"], operator.deployment()["metadata"]["annotations"]
    workloads.apply(stage.resource(second), UnmanageTarget())
    after = operator.deployment()
    assert (after["spec"], after["metadata"]["annotations"]) == before
    assert json.dumps(stage.read("cnr", second)["metadata"].get("finalizers")) == "null"


def test_a_check_that_fails_says_why(stage: WorkloadFixture) -> None:
    """A real Job, its exit code, and its last lines as the kubelet keeps them."""
    image = os.environ.get("WORKLOADS_CHECK_IMAGE")
    if image is None:
        pytest.skip("WORKLOADS_CHECK_IMAGE names no image with python3")
    operator = guarded(stage, "checked", PauseMode.AT_REST)
    script = "import os; print(os.environ['CANARY_URL']); print('login: 500'); raise SystemExit(3)"
    container = {"name": "c", "image": image, "command": ["python3", "-c", script]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    cron_job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "smoke", "labels": {"canary-controller.dev/checks": "allowed"}},
        "spec": {
            "suspend": True,
            "schedule": "0 0 1 1 *",
            "jobTemplate": {"spec": {"template": {"spec": pod}}},
        },
    }
    stage.must("apply", "-f", "-", stdin=cron_job)
    checks = [{"name": "smoke", "jobFrom": {"cronJob": "smoke"}}]
    stage.release(operator.name, operator.name, checks=checks)
    release = Releasing(template=changed(operator), started_at=1.0, replicas=2)
    status = Status(intent=Intent.ADVANCE, release=release)
    stage.store().write_status(stage.resource(operator.name), status)
    operator.do(RunChecks(release.template))

    def result() -> CheckStatus | None:
        (check,) = operator.workloads.read(stage.resource(operator.name)).checks
        return check if check.verdict is not Verdict.CONTINUE else None

    check = until(result, "the Job has ended")
    assert check is not None
    assert check.verdict is Verdict.FAIL
    url = f"http://{operator.name}-canary.{stage.namespace}.svc:80"
    assert check.message == f"{url}\nlogin: 500"
