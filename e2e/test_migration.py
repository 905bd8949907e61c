"""Both migration pages followed word by word under load: run with CANARY_E2E_FULL=1.

The cluster has the objects that Flagger and Argo Rollouts leave at rest, with definitions of their
kinds that take any content. The controllers themselves are not there: the pages stop them first.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from canary.api import Result
from canary.demo.load.tally import NOBODY
from canary.init.migration import (
    ANALYSIS_TEMPLATES,
    FLAGGER_CANARIES,
    FLAGGER_TEMPLATES,
    ROLLOUTS,
)
from canary.kube.objects import Kind, Object
from e2e.fixtures_documented import run
from e2e.fixtures_releases import place
from e2e.harness.auth import IMAGE, NAME, PORT, AuthService, host, namespace, route, service
from e2e.harness.clusters import ROOT
from e2e.harness.kubectl import apply, get, kubectl, not_ending, wait_for
from e2e.harness.load import Failure, RunningLoad, run_load
from e2e.harness.release import KIND, ReleaseManifest
from e2e.harness.scenario import route_answers
from e2e.test_releases import ABRUPT
from e2e.test_routes import ended, reaches
from tools.documented_commands import read_blocks

__all__ = ["place"]
PRIMARY, PREVIEW = f"{NAME}-primary", f"{NAME}-preview"
HASH = "rollouts-pod-template-hash"
OWN = {"managed-by": "deployment"}
"""The label that tells the pods of the Deployment from those of the Rollout."""
DRAINED = AuthService(drain=True)
"""Pods of a Rollout end while they are endpoints of the Service, as at any rolling update."""


def test_flagger_is_replaced_without_a_dropped_request(place: str, tmp_path: Path):
    """The Deployment at 0 and its primary become one Deployment with a CanaryRelease."""
    with installed_controller("flagger", FLAGGER_CANARIES, FLAGGER_TEMPLATES), cleared(place):
        apply(flagger_canary(place))
        owner = owner_of(place, FLAGGER_CANARIES)
        apply(*flagger_objects(place, owner))
        kubectl("-n", place, "rollout", "status", f"deployment/{PRIMARY}", "--timeout=120s")
        write(tmp_path, "service.yaml", service(place))
        write(tmp_path, "route.yaml", route(place))
        with serving_under_load(place) as load:
            follow("docs/migrate-flagger.md", tmp_path, place)
            assert load.failures == [], load
            promote_one_release(place, ABRUPT.next("v2").deployment(place))
        assert dropped(load) == []
        names = kubectl("-n", place, "get", "deployments,services", "-o", "name").split()
        assert names == [f"deployment.apps/{NAME}", f"service/{NAME}"]


def test_argo_rollouts_is_replaced_without_a_dropped_request(place: str, tmp_path: Path):
    """The Rollout's ReplicaSet becomes a Deployment with a CanaryRelease."""
    kinds = (ROLLOUTS, ANALYSIS_TEMPLATES)
    with installed_controller("argo-rollouts", *kinds), cleared(place):
        apply(rollout(place), analysis_template(place))
        owner = owner_of(place, ROLLOUTS)
        apply(*rollout_objects(place, owner))
        write(tmp_path, "deployment.yaml", own_deployment(DRAINED, place))
        write(tmp_path, "route.yaml", route(place))
        with serving_under_load(place) as load:
            follow("docs/migrate-argo-rollouts.md", tmp_path, place)
            assert load.failures == [], load
            promote_one_release(place, own_deployment(DRAINED.next("v2"), place))
        assert dropped(load) == []
        names = kubectl("-n", place, "get", "replicasets", "-l", HASH, "-o", "name").split()
        assert names == []


@contextmanager
def installed_controller(name: str, *kinds: Kind) -> Iterator[None]:
    """The definitions of a controller's kinds, and a Deployment that stands for the controller."""
    system = "flagger-system" if name == "flagger" else name
    not_ending(system)
    container: Object = {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    container["command"] = ["python", "-c", "import signal; signal.sigwait([signal.SIGTERM])"]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    labels = {"matchLabels": {"app": name}}
    apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": system},
            "spec": {"replicas": 1, "selector": labels, "template": template},
        },
        *map(definition, kinds),
    )
    crds = [f"crd/{kind.plural}.{kind.group}" for kind in kinds]
    try:
        kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "--wait=false", f"namespace/{system}", *crds)


def definition(kind: Kind) -> Object:
    """A CustomResourceDefinition that takes any content."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": kind.version, "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {"plural": kind.plural, "kind": kind.kind},
            "versions": [version | {"schema": {"openAPIV3Schema": schema}}],
        },
    }


@contextmanager
def cleared(place: str) -> Iterator[None]:
    """The test's namespace, which is deleted after the block."""
    apply(namespace(place))
    try:
        yield
    finally:
        kubectl("-n", place, "delete", KIND, "--all", "--timeout=90s")
        kubectl("delete", "namespace", place, "--ignore-not-found", "--wait=false")


@contextmanager
def serving_under_load(place: str) -> Iterator[RunningLoad]:
    """50 requests/s through the gateway, from the first answer on."""
    wait_for("the route", lambda: route_answers(place), 60)
    with run_load(host(place)) as load:
        yield load


def follow(page: str, workspace: Path, place: str) -> None:
    """Runs every block of a migration page, in order, as written."""
    (workspace / "docs").symlink_to(ROOT / "docs")
    variables = {"NAME": NAME, "NAMESPACE": place, "SERVICE": NAME, "PREVIEW": PREVIEW}
    for block in read_blocks(ROOT / page):
        run(block, workspace, variables)


def promote_one_release(place: str, deployment: Object) -> None:
    """The converted release becomes Ready, and a good version is promoted.

    Only its times are shortened, as in all these tests.
    """
    reaches(place, NAME, lambda status: status.get("phase") == "Ready", 60)
    short = ReleaseManifest(weights=(20, 50)).manifest(place)["spec"]
    del short["analysis"]["metrics"]
    spec = {key: short[key] for key in ("analysis", "steps", "bake", "deadline")}
    spec["traffic"] = {"propagationDelay": short["traffic"]["propagationDelay"]}
    patch = yaml.safe_dump({"spec": spec})
    kubectl("-n", place, "patch", KIND, NAME, "--type=merge", "-p", patch)
    apply(deployment)
    ended(place, NAME, Result.PROMOTED)


def dropped(load: RunningLoad) -> list[Failure]:
    """Requests that no version answered: a version's own 503 is the test machine's."""
    return [one for one in load.failures if one.version == NOBODY]


def write(folder: Path, name: str, manifest: Object) -> None:
    """One of the files that the team has."""
    (folder / name).write_text(yaml.safe_dump(manifest), "utf-8")


def owner_of(place: str, kind: Kind) -> Object:
    """The owner reference of what a controller makes for this object."""
    found = get(place, f"{kind.plural}.{kind.group}", NAME)
    assert found is not None
    uid = found["metadata"]["uid"]
    owner = {"apiVersion": kind.api_version, "kind": kind.kind, "name": NAME, "uid": uid}
    return owner | {"controller": True, "blockOwnerDeletion": True}


def flagger_canary(place: str) -> Object:
    """A Canary of the provider gatewayapi:v1, at rest."""
    return {
        "apiVersion": FLAGGER_CANARIES.api_version,
        "kind": FLAGGER_CANARIES.kind,
        "metadata": {"name": NAME, "namespace": place, "finalizers": ["finalizer.flagger.app"]},
        "spec": {
            "provider": "gatewayapi:v1",
            "revertOnDeletion": True,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "progressDeadlineSeconds": 60,
            "service": {
                "port": PORT,
                "targetPort": "http",
                "hosts": [host(place)],
                "gatewayRefs": route(place)["spec"]["parentRefs"],
            },
            "analysis": {
                "interval": "10s",
                "threshold": 5,
                "maxWeight": 50,
                "stepWeight": 25,
                "metrics": [
                    {
                        "name": "request-success-rate",
                        "thresholdRange": {"min": 99},
                        "interval": "10s",
                    }
                ],
            },
        },
        "status": {"phase": "Succeeded", "canaryWeight": 0},
    }


def flagger_objects(place: str, owner: Object) -> Iterator[Object]:
    """Flagger at rest: the Deployment scaled to 0, the primary, three Services and the route."""
    own = ABRUPT.deployment(place)
    own["spec"]["replicas"] = 0
    yield own
    yield owned(relabel(ABRUPT.deployment(place), PRIMARY), owner)
    for name, selected in ((NAME, PRIMARY), (PRIMARY, PRIMARY), (f"{NAME}-canary", NAME)):
        made = owned(service(place), owner)
        made["metadata"] |= {"name": name, "annotations": FLUX, "labels": {"app": name}}
        made["spec"]["selector"] = {"app": selected}
        yield made
    way = owned(route(place), owner)
    way["metadata"]["annotations"] = FLUX
    way["spec"]["rules"] = weighted(PRIMARY, f"{NAME}-canary")
    yield way


FLUX = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}
"""Flagger's annotations on whatever it makes: Flux leaves such objects alone."""


def owned(made: Object, owner: Object) -> Object:
    """The manifest with an owner."""
    return made | {"metadata": made["metadata"] | {"ownerReferences": [owner]}}


def relabel(deployment: Object, name: str) -> Object:
    """The same Deployment by another name, with the label `app` of this value."""
    made = deepcopy(deployment)
    made["metadata"]["name"] = name
    made["spec"]["selector"]["matchLabels"]["app"] = name
    made["spec"]["template"]["metadata"]["labels"]["app"] = name
    return made


def weighted(stable: str, canary: str) -> list[Object]:
    """The rules of a route at rest."""
    refs = [
        {"name": stable, "port": PORT, "weight": 100},
        {"name": canary, "port": PORT, "weight": 0},
    ]
    return [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": refs}]


def rollout(place: str) -> Object:
    """A Rollout with the plug-in for the Gateway API, at rest."""
    spec = DRAINED.deployment(place)["spec"]
    plugin = {"argoproj-labs/gatewayAPI": {"httpRoute": NAME, "namespace": place}}
    strategy = {
        "stableService": NAME,
        "canaryService": PREVIEW,
        "trafficRouting": {"plugins": plugin},
        "analysis": {"templates": [{"templateName": "success-rate"}]},
        "steps": [{"setWeight": 25}, {"pause": {"duration": 10}}, {"setWeight": 50}],
    }
    return {
        "apiVersion": ROLLOUTS.api_version,
        "kind": ROLLOUTS.kind,
        "metadata": {"name": NAME, "namespace": place},
        "spec": {
            "replicas": spec["replicas"],
            "selector": spec["selector"],
            "template": spec["template"],
            "strategy": {"canary": strategy},
        },
        "status": {"phase": "Healthy", "stableRS": "6d5f8"},
    }


def analysis_template(place: str) -> Object:
    """A condition on a value of Prometheus."""
    metric: Mapping[str, Any] = {
        "name": "up",
        "interval": "10s",
        "successCondition": "result[0] >= 0.5",
        "provider": {"prometheus": {"query": f'avg(up{{namespace="{place}"}})'}},
    }
    return {
        "apiVersion": ANALYSIS_TEMPLATES.api_version,
        "kind": ANALYSIS_TEMPLATES.kind,
        "metadata": {"name": "success-rate", "namespace": place},
        "spec": {"metrics": [metric]},
    }


def rollout_objects(place: str, owner: Object) -> Iterator[Object]:
    """Argo Rollouts at rest: the ReplicaSet, and its hash in the selectors of both Services."""
    label = {HASH: "6d5f8"}
    spec = DRAINED.deployment(place)["spec"]
    spec["template"]["metadata"]["labels"] |= label
    yield {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{NAME}-{label[HASH]}",
            "namespace": place,
            "labels": {"app": NAME} | label,
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": spec["replicas"],
            "selector": {"matchLabels": {"app": NAME} | label},
            "template": spec["template"],
        },
    }
    for name in (NAME, PREVIEW):
        made = service(place)
        made["metadata"]["name"] = name
        made["spec"]["selector"] |= label
        yield made
    way = route(place)
    way["spec"]["rules"] = weighted(NAME, PREVIEW)
    yield way


def own_deployment(version: AuthService, place: str) -> Object:
    """The Deployment that takes the place of the Rollout, with a label of its own."""
    made = version.deployment(place)
    made["spec"]["selector"]["matchLabels"] |= OWN
    made["spec"]["template"]["metadata"]["labels"] |= OWN
    return made
