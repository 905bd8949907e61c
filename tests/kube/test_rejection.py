"""The annotation by which a Deployment remembers the template that was rolled back."""

import json

import pytest

from canary.api import Reason
from canary.core.plan import NoteRejection, PauseTarget, RestoreTemplate, UnmanageTarget
from canary.core.snapshot import Rejection
from canary.kube.objects import DEPLOYMENTS
from canary.kube.workloads import PauseMode
from canary.kube.workloads.names import REJECTED, RESTARTED_AT
from tests.kube.fixtures_release import KEY, ReleaseOnFakeCluster
from tests.kube.test_workloads import VETTED, do, target

AT = 1767323045.0


@pytest.fixture(params=PauseMode)
def stage(request: pytest.FixtureRequest) -> ReleaseOnFakeCluster:
    """An adopted target, once in each mode."""
    made = ReleaseOnFakeCluster(request.param)
    do(made, PauseTarget(VETTED))
    made.roll()
    return made


def reject(stage: ReleaseOnFakeCluster, image: str = "auth:2") -> Rejection:
    """The template with this image was rolled back, and is still held."""
    made = Rejection(stage.change(image, paused=True), Reason.WORSE_THAN_STABLE, AT)
    do(stage, NoteRejection(made))
    return made


def test_the_deployment_remembers_what_was_rejected(stage: ReleaseOnFakeCluster) -> None:
    """Read back as it was written; a second time writes nothing; forgotten, it is gone."""
    rejection = reject(stage)
    assert target(stage).rejection == rejection
    assert target(stage).rejected == {rejection.template}
    note = json.loads(stage.deployment()["metadata"]["annotations"][REJECTED])
    assert note["at"] == "2026-01-02T03:04:05Z"
    writes = stage.cluster.writes
    do(stage, NoteRejection(rejection))
    assert stage.cluster.writes == writes
    do(stage, NoteRejection(None))
    assert REJECTED not in stage.deployment()["metadata"]["annotations"]
    assert (target(stage).rejection, target(stage).rejected) == (None, frozenset())


def test_it_stays_when_the_deployment_is_let_go(stage: ReleaseOnFakeCluster) -> None:
    """With the finalizer, or without one after the CanaryRelease is gone."""
    rejection = reject(stage)
    stage.workloads.abandon(KEY)
    assert target(stage).rejection == rejection
    do(stage, PauseTarget(VETTED), UnmanageTarget())
    assert target(stage).rejection == rejection


def test_beside_a_held_template_the_other_one_runs(stage: ReleaseOnFakeCluster) -> None:
    """So a new CanaryRelease has something to adopt while the target is paused."""
    rejection = reject(stage)
    stage.roll()
    found = target(stage)
    assert (found.template, found.running, found.other_ready) == (
        rejection.template,
        VETTED,
        VETTED,
    )


def test_a_rejected_template_in_the_middle_of_its_roll_is_put_back(
    stage: ReleaseOnFakeCluster,
) -> None:
    """In one write with our mark; nothing is paused while its pods are there."""
    rejection = reject(stage)
    do(stage, PauseTarget(VETTED), UnmanageTarget())
    stage.change("auth:2")
    stage.roll(done=2)
    found = target(stage)
    assert (found.template, found.running, found.other_ready) == (rejection.template, None, VETTED)
    do(stage, RestoreTemplate(VETTED))
    assert not stage.deployment()["spec"].get("paused")
    stage.roll()
    assert target(stage).running == VETTED


def test_a_restart_of_the_rejected_template_is_known(stage: ReleaseOnFakeCluster) -> None:
    """`kubectl rollout restart` adds one annotation to the template."""
    rejection = reject(stage)
    body = stage.deployment()
    for notes in ({"prometheus.io/scrape": "true"}, None):
        metadata = body["spec"]["template"]["metadata"]
        metadata["annotations"] = notes
        if notes is None:
            del metadata["annotations"]
        stage.cluster.put(DEPLOYMENTS, body)
        rejection = Rejection(target(stage).template, rejection.reason, AT)
        do(stage, NoteRejection(rejection))
        body = stage.deployment()
        metadata = body["spec"]["template"]["metadata"]
        metadata["annotations"] = {**(notes or {}), RESTARTED_AT: "2026-11-30T12:00:00Z"}
        stage.cluster.put(DEPLOYMENTS, body)
        found = target(stage)
        assert found.template != rejection.template
        assert found.template in found.rejected


@pytest.mark.parametrize(
    "note",
    [
        "",
        "v2",
        "[]",
        '{"template": 2}',
        '{"template": "<script>"}',
        '{"template": "0123456789ab"' + " " * 2000 + "}",
        "[" * 900,
    ],
)
def test_a_spoiled_annotation_says_nothing(note: str) -> None:
    """Somebody else may write anything there."""
    stage = ReleaseOnFakeCluster()
    body = stage.deployment()
    body["metadata"]["annotations"] = {REJECTED: note}
    stage.cluster.put(DEPLOYMENTS, body)
    assert target(stage).rejection is None


@pytest.mark.parametrize("at", ["yesterday", None, "9999-12-31T23:59:59-23:00", [1]])
def test_a_spoiled_reason_or_time_leaves_the_template(at: object) -> None:
    """What matters is which template it was."""
    stage = ReleaseOnFakeCluster()
    body = stage.deployment()
    note = {"template": "0123456789ab", "reason": ["Nobody"], "at": at}
    body["metadata"]["annotations"] = {REJECTED: json.dumps(note)}
    stage.cluster.put(DEPLOYMENTS, body)
    found = target(stage).rejection
    assert found is not None
    assert (found.template, found.reason) == ("0123456789ab", Reason.REJECTED)
