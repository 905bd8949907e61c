"""Autoscalers, quotas and admission policies: the canary has its pods, or no traffic."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from math import ceil
from threading import Event

import pytest

from canary.api import Reason, Result
from canary.demo.load.tally import NOBODY
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import IMAGE, NAME, AuthService
from e2e.harness.kubectl import KubectlError, apply, get, kubectl, now, wait_for
from e2e.harness.measurements import Measurements, read_measurements, write_measurements
from e2e.harness.recorder import CANARY
from e2e.harness.release import ReleaseManifest
from e2e.harness.scenario import Scenario, start_scenario
from e2e.test_releases import ABRUPT, label, ready
from e2e.test_setup import canary

__all__ = ["place"]
TAG = os.environ.get("CANARY_E2E_IMAGE_TAG")
"""A command that gives an image of the node a second name, such as `ctr -n k8s.io images tag`."""
QUICK = ReleaseManifest(weights=(20, 50))
MANY = AuthService(abrupt=True, cpu="20m")
"""Of which many pods fit on a small node."""
NO_IMAGE = "localhost/no-such:1"
DEMANDED = "has(object.metadata.labels) && 'team' in object.metadata.labels"
FIELD = "canary-controller"
"""The operator's name among the managers of fields."""


def autoscaler(namespace: str, name: str, least: int, most: int) -> Object:
    """Of the service, by CPU; where the cluster serves no such metrics it only keeps the bounds."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }


def scale(stage: Scenario, replicas: int) -> None:
    """What an autoscaler does: it writes the subresource `scale`, and the pods come up."""
    kubectl("-n", stage.namespace, "scale", f"deployment/{NAME}", f"--replicas={replicas}")
    stage.film.wait("stable's pods", lambda: len(stage.film.ready(NAME)) >= replicas, 90)


def test_a_canary_grows_with_stable(place: str):
    """An autoscaler takes stable from 3 to 9 at 20 %: no weight without the pods for it."""
    with start_scenario(place, QUICK, MANY) as stage:
        apply(autoscaler(place, NAME, 3, 9))
        written = spec_of(place, NAME)
        stage.ship(MANY.next("v2"))
        stage.weight_reaches(20)
        scale(stage, 9)
        for weight in (50, 100):
            at = stage.weight_reaches(weight, 120)
            assert len(stage.film.ready_at(CANARY, at)) >= ceil(9 * weight / 100), weight
        assert spec_of(place, NAME)["minReplicas"] == 9, "the floor follows"
        entry = stage.ends(Result.PROMOTED, seconds=240)
        stage.nothing_left()
        assert spec_of(place, NAME) == written
        assert [label(pod) for pod in stage.pods() if ready(pod)] == ["v2"] * 9
    figures = read_measurements(
        stage, "autoscaler grows 3 to 9 at 20 %", entry, "promoted with 9 pods"
    )
    assert (figures.dropped, figures.errors) == (0, 0), stage.load.failures


def spec_of(place: str, name: str) -> Object:
    """The autoscaler's spec."""
    found = get(place, "hpa", name)
    assert found is not None
    spec: Object = found["spec"]
    return spec


SCALED_OBJECTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "scope": "Namespaced",
        "names": {"plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


@contextmanager
def keda(place: str) -> Iterator[None]:
    """A ScaledObject and the autoscaler that KEDA would make of it; KEDA itself is not there."""
    there = get("default", "crd", "scaledobjects.keda.sh") is not None
    if not there:
        apply(SCALED_OBJECTS)
        kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh")
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": NAME, "namespace": place},
        "spec": {"scaleTargetRef": {"name": NAME}, "minReplicaCount": 2, "maxReplicaCount": 9},
    }
    try:
        apply(scaled)
        owner = get(place, "scaledobject", NAME)
        assert owner is not None
        made = autoscaler(place, f"keda-hpa-{NAME}", 2, 9)
        reference = {key: scaled[key] for key in ("apiVersion", "kind")}
        reference |= {"name": NAME, "uid": owner["metadata"]["uid"], "controller": True}
        made["metadata"]["ownerReferences"] = [reference]
        apply(made)
        yield
    finally:
        if not there:
            kubectl("delete", "crd", "scaledobjects.keda.sh", "--wait=false")


def test_an_autoscaler_of_keda_is_not_fought(place: str):
    """Its floor stays KEDA's, the status says so, and the canary grows with stable all the same."""
    name = f"keda-hpa-{NAME}"
    with start_scenario(place, QUICK, MANY) as stage, keda(place):
        stage.ship(MANY.next("v2"))
        stage.weight_reaches(20)
        scale(stage, 6)
        at = stage.weight_reaches(50, 120)
        assert len(stage.film.ready_at(CANARY, at)) >= 3
        said = {one["type"]: one for one in stage.film.status["conditions"]}["CapacityKept"]
        drafted = canary("init", NAME, "-n", place)
        written = ("-n", place, "get", "hpa", name, "-o", "json", "--show-managed-fields")
        found = json.loads(kubectl(*written))
        writers = {one["manager"] for one in found["metadata"]["managedFields"]}
        stage.ask("abort")
        entry = stage.ends(Result.ROLLED_BACK)
    assert (said["status"], said["message"].split(" owns")[0]) == ("False", "ScaledObject auth")
    assert "ScaledObject auth keeps scaling it" in " ".join(
        drafted.stdout.replace("#", " ").split()
    )
    assert (found["spec"]["minReplicas"], FIELD in writers) == (2, False)
    read_measurements(stage, "KEDA owns the autoscaler", entry, "0 writes to it")


def test_c09_replicas_that_are_written_back_are_restored(place: str):
    """A manifest with `replicas: 2` is applied twice at 50 %, where an autoscaler had made 6.

    The pods sleep before they end, as any should: those that do not lose requests at each
    scale-in, with a release or without.
    """
    few = AuthService(replicas=2, cpu="20m", drain=True)
    guard = ReleaseManifest(weights=(20, 50), hold="45s")
    back: list[float] = []
    with start_scenario(place, guard, few) as stage:
        apply(autoscaler(place, NAME, 2, 10))
        stage.ship(few.next("v2"))
        stage.weight_reaches(20)
        scale(stage, 6)
        stage.weight_reaches(50, 180)
        for _ in range(2):
            forced = ("--server-side", "--force-conflicts")
            apply(stage.running.deployment(place), options=forced)
            written = now()
            stage.film.wait("fewer pods", lambda: len(stage.film.ready(NAME)) < 6, 20)
            stage.film.wait("stable's pods", lambda: len(stage.film.ready(NAME)) >= 6, 60)
            back.append(now() - written)
            Event().wait(max(0.0, 20 - back[-1]))
        entry = stage.ends(Result.PROMOTED, seconds=300)
        assert [label(pod) for pod in stage.pods() if ready(pod)] == ["v2"] * 6
    note = f"6 pods again after {back[0]:.0f} and {back[1]:.0f} s"
    read_measurements(stage, "replicas written back twice at 50 %", entry, note)
    assert max(back) <= 30
    # Two pods with the load of six may answer 503 themselves on a busy machine.
    assert [one for one in stage.load.failures if one.version == NOBODY] == []


@contextmanager
def limited(place: str) -> Iterator[None]:
    """A quota with room for one pod beside the three of stable."""
    metadata = {"name": "tight", "namespace": place}
    spec = {"hard": {"pods": "4"}}
    apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    yield


@contextmanager
def policed(place: str, resources: str, holds: str, message: str, *verbs: str) -> Iterator[None]:
    """An admission policy for this namespace; in force while the block runs."""
    rule = {
        "apiGroups": ["apps" if resources == "deployments" else ""],
        "apiVersions": ["v1"],
        "operations": verbs or ["CREATE", "UPDATE"],
        "resources": [resources],
    }
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": holds, "message": message}],
    }
    where = {"namespaceSelector": {"matchLabels": {"policy": place}}}
    binding = {"policyName": place, "validationActions": ["Deny"], "matchResources": where}
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": place}}
    kind = "ValidatingAdmissionPolicy"
    kubectl("label", "namespace", place, f"policy={place}")
    try:
        apply(api | {"kind": kind, "spec": spec}, api | {"kind": f"{kind}Binding", "spec": binding})
        wait_for("the policy", lambda: _refuses(place, resources, message), 30)
        yield
    finally:
        kubectl("delete", f"{kind},{kind}Binding".lower(), place, "--wait=false")


def _refuses(place: str, resources: str, message: str) -> bool:
    """The policy is in force: an object is refused that has neither label."""
    tries = {
        "pods": ("label", "pods", "--all", "--overwrite", "app=other"),
        "deployments": ("create", "deployment", "none", "--image=none"),
    }
    try:
        kubectl("-n", place, *tries[resources], "--dry-run=server")
    except KubectlError as error:
        return message in str(error)
    return False


Hindrance = Callable[[str], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("name", "image", "hindered", "words"),
    [
        pytest.param(
            "a quota lets in half of the canary",
            IMAGE,
            limited,
            ("1 of 2", "exceeded quota: tight"),
            id="c01",
        ),
        pytest.param(
            "a policy refuses the canary's pods",
            IMAGE,
            lambda place: policed(
                place, "pods", "object.metadata.labels.app == 'auth'", "pods are called auth"
            ),
            ("0 of 2", "pods are called auth"),
            id="c06",
        ),
        pytest.param(
            "the image cannot be pulled",
            NO_IMAGE,
            nullcontext,
            ("0 of 2", "ErrImagePull", NO_IMAGE, "canary retry auth"),
            id="c13",
        ),
    ],
)
def test_a_canary_without_its_pods_gets_no_traffic(
    place: str, name: str, image: str, hindered: Hindrance, words: tuple[str, ...]
):
    """The end names the quota, the policy's words, or the image; stable's pods stay."""
    guard = ReleaseManifest(weights=(20, 50), progress_deadline="30s")
    with start_scenario(place, guard, ABRUPT) as stage, hindered(place):
        before = {pod["metadata"]["name"] for pod in stage.pods()}
        stage.ship(replace(ABRUPT.next("v2"), image=image))
        entry = stage.ends(Result.ROLLED_BACK)
        stage.nothing_left()
        assert {pod["metadata"]["name"] for pod in stage.pods() if ready(pod)} == before
    dropped, sent = len(stage.load.failures), stage.load.sent
    write_measurements(
        Measurements(name, "RolledBack", entry["reason"], dropped=dropped, sent=sent)
    )
    assert entry["reason"] == Reason.NEVER_READY
    assert [word for word in words if word not in entry["message"]] == [], entry["message"]
    assert max(frame.what for frame in stage.film.weights) == 0
    assert dropped == 0, stage.load.failures


@pytest.mark.skipif(TAG is None, reason="CANARY_E2E_IMAGE_TAG is not set")
def test_c13_an_image_that_comes_later_is_released_without_a_new_template(place: str):
    """The registry has it 30 s after the new version was shipped; the canary has waited."""
    image = f"localhost/{place}:1"
    with start_scenario(place, QUICK, ABRUPT) as stage:
        stage.ship(replace(ABRUPT.next("v2"), image=image))
        Event().wait(30)
        assert stage.film.weight == 0
        assert image in stage.film.status["message"]
        subprocess.run([*shlex.split(TAG or ""), IMAGE, image], check=True)
        entry = stage.ends(Result.PROMOTED, seconds=300)
    figures = read_measurements(stage, "an image that can be pulled after 30 s", entry)
    assert figures.dropped == 0, stage.load.failures


def test_c01_a_quota_that_goes_lets_the_release_go_on(place: str):
    """Deleted 20 s after the new version was shipped."""
    with start_scenario(place, QUICK, ABRUPT) as stage, limited(place):
        stage.ship(ABRUPT.next("v2"))
        Event().wait(20)
        assert stage.film.weight == 0
        kubectl("-n", place, "delete", "resourcequota", "tight")
        entry = stage.ends(Result.PROMOTED, seconds=240)
    figures = read_measurements(stage, "a quota that goes after 20 s", entry)
    assert figures.dropped == 0, stage.load.failures


def test_c06_a_policy_that_refuses_the_canarys_deployment_is_quoted(place: str):
    """Older than the policy, the user's own Deployment has no such label, so the canary has none."""
    with start_scenario(place, QUICK, ABRUPT) as stage:
        film, demand = stage.film, "every Deployment needs the label team"
        with policed(place, "deployments", DEMANDED, demand, "CREATE"):
            stage.ship(ABRUPT.next("v2"))
            shipped = now()
            film.wait("the words", lambda: demand in str(film.status.get("message")), 20)
            said, reason = now() - shipped, film.status["reason"]
            Event().wait(5)
            assert film.weight == 0
        stage.weight_reaches(20, 120)
        stage.ask("abort")
        stage.ends(Result.ROLLED_BACK)
    note = f"its words after {said:.1f} s"
    write_measurements(
        Measurements("a policy refuses the canary's Deployment", "waits", reason, note=note)
    )
    assert (reason, said <= 10) == (Reason.API_REFUSED, True)


def test_c06_the_canary_has_the_labels_that_a_policy_demands_of_deployments(place: str):
    """Those of the user's own Deployment."""
    owned = replace(ABRUPT, team={"team": "identity"})
    demand = policed(place, "deployments", DEMANDED, "every Deployment needs the label team")
    with start_scenario(place, QUICK, owned) as stage, demand:
        stage.ship(owned.next("v2"))
        entry = stage.ends(Result.PROMOTED, seconds=240)
    figures = read_measurements(stage, "a policy demands labels of Deployments", entry)
    assert figures.dropped == 0, stage.load.failures
