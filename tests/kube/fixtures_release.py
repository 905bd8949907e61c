"""One user's Deployment in the fake cluster, with a Deployment controller of a few lines."""

from copy import deepcopy
from typing import Any

import yaml

from canary.api import Status
from canary.core.snapshot import ReleaseResource
from canary.http.addresses import EVERYWHERE
from canary.interfaces import Key
from canary.kube.objects import (
    DEPLOYMENTS,
    PODS,
    RELEASES,
    REPLICA_SETS,
    SERVICES,
    Object,
)
from canary.kube.releases import KubeReleases
from canary.kube.workloads import KubeWorkloads, PauseMode, Webhooks
from canary.kube.workloads.names import controlled_by
from canary.kube.workloads.template import same_template, template_hash
from canary.kube.workloads.webhooks import build_poster
from tests.kube.fake_cluster import FakeCluster

NAMESPACE = "prod"
KEY = Key(NAMESPACE, "auth")

RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod}
spec:
  target: {name: auth}
  traffic: {traefik: {traefikService: auth}}
  steps: [{weight: 5}]
  analysis: {metrics: [{name: errors, ratio: {total: 't{}', bad: 'b{}'}}]}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: auth, namespace: prod, labels: {team: login}, annotations: {dns: auth.example}}
spec:
  clusterIP: 10.0.0.1
  clusterIPs: [10.0.0.1]
  sessionAffinity: None
  selector: {app: auth, tier: api}
  ports: [{name: http, port: 80, targetPort: web, protocol: TCP, nodePort: 30080}]
  type: NodePort
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: auth, namespace: prod, annotations: {team: login}}
spec:
  replicas: 4
  minReadySeconds: 3
  progressDeadlineSeconds: 600
  revisionHistoryLimit: 10
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  selector: {matchLabels: {app: auth}}
  template:
    metadata:
      labels: {app: auth, tier: api}
      annotations: {prometheus.io/scrape: 'true'}
    spec:
      terminationGracePeriodSeconds: 30
      initContainers: [{name: migrate, image: 'auth:1'}]
      containers:
      - {name: auth, image: 'auth:1', ports: [{name: web, containerPort: 8080}]}
      - name: proxy
        image: proxy:1
        lifecycle: {preStop: {exec: {command: [drain]}}, postStart: {exec: {command: [warm]}}}
"""


def build_deployment(text: str) -> Object:
    """An object written as YAML."""
    found: Object = yaml.safe_load(text)
    return found


class ReleaseOnFakeCluster:
    """The user, the Deployment controller and the operator around one fake cluster."""

    def __init__(self, mode: PauseMode = PauseMode.AT_REST) -> None:
        self.cluster = FakeCluster()
        self.mode = mode
        self.webhooks = Webhooks(build_poster(EVERYWHERE))
        self.warned: list[str] = []
        for kind, text in ((RELEASES, RELEASE), (SERVICES, SERVICE), (DEPLOYMENTS, DEPLOYMENT)):
            self.cluster.create(kind, NAMESPACE, build_deployment(text))
        self.roll()

    @property
    def workloads(self) -> KubeWorkloads:
        return KubeWorkloads(self.cluster, lambda: self.mode, self.webhooks)

    @property
    def releases(self) -> KubeReleases:
        return KubeReleases(self.cluster, lambda _key, _reason, words: self.warned.append(words))

    def resource(self, status: Status | None = None) -> ReleaseResource:
        """The release as it is, with that status written to it."""
        found = self.releases.read(KEY)
        if status is not None:
            self.releases.write_status(found, status)
            found = self.releases.read(KEY)
        return found

    def deployment(self, name: str = "auth") -> Object:
        found = self.cluster.get(DEPLOYMENTS, NAMESPACE, name)
        assert found is not None
        return found

    def change(self, image: str = "auth:2", **spec: Any) -> str:
        """The user writes another image, or other fields of the spec: the template's hash."""
        body = self.deployment()
        body["spec"]["template"]["spec"]["containers"][0]["image"] = image
        body["spec"] |= spec
        self.cluster.put(DEPLOYMENTS, body)
        return template_hash(body["spec"]["template"])

    def sets(self, name: str = "auth") -> list[Object]:
        uid = self.deployment(name)["metadata"]["uid"]
        found = self.cluster.list(REPLICA_SETS, NAMESPACE, {})
        return [one for one in found if controlled_by(one, uid)]

    def roll(self, name: str = "auth", done: int | None = None) -> None:
        """What the Deployment controller does; `done`: only so many pods have been replaced."""
        found = self.deployment(name)
        template, wanted = found["spec"]["template"], found["spec"]["replicas"]
        paused = found["spec"].get("paused", False)
        kept = [one for one in self.sets(name) if same_template(one["spec"]["template"], template)]
        if not kept and not paused:
            kept = [self._make_set(found)]
        if not paused:
            self._share(name, kept[0], wanted, wanted if done is None else done)
        current = kept[0]["metadata"]["name"] if kept else None
        counts = {one["metadata"]["name"]: one["spec"]["replicas"] for one in self.sets(name)}
        found = self.deployment(name)
        found["status"] = {
            "observedGeneration": found["metadata"]["generation"],
            "replicas": sum(counts.values()),
            "availableReplicas": sum(counts.values()),
            "updatedReplicas": counts.get(current or "", 0),
        }
        self.cluster.put(DEPLOYMENTS, found)

    def _share(self, name: str, current: Object, wanted: int, done: int) -> None:
        others = [one for one in self.sets(name) if one["metadata"] != current["metadata"]]
        left = wanted - done
        self._scale(current, done)
        for one in others:
            self._scale(one, min(left, one["spec"]["replicas"]))
            left -= min(left, one["spec"]["replicas"])

    def _make_set(self, owner: Object) -> Object:
        template = deepcopy(owner["spec"]["template"])
        digest = template_hash(template)[:6]
        template["metadata"]["labels"]["pod-template-hash"] = digest
        name = f"{owner['metadata']['name']}-{digest}"
        body = {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": template["metadata"]["labels"],
                "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
            },
            "spec": {"replicas": 0, "template": template},
            "status": {"replicas": 0},
        }
        return self.cluster.put(REPLICA_SETS, body)

    def _scale(self, of: Object, replicas: int) -> None:
        name = of["metadata"]["name"]
        found = self.cluster.get(REPLICA_SETS, NAMESPACE, name)
        assert found is not None
        found["spec"]["replicas"] = replicas
        found["status"] = {"replicas": replicas, "readyReplicas": replicas}
        self.cluster.put(REPLICA_SETS, found)
        for index in range(10):
            if index < replicas:
                self.cluster.put(PODS, build_pod(f"{name}-{index}", found))
            else:
                self.cluster.delete(PODS, NAMESPACE, f"{name}-{index}", "Background")


def build_pod(name: str, owner: Object, **status: Any) -> Object:
    """A ready pod of a ReplicaSet, unless its status says otherwise."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": owner["spec"]["template"]["metadata"]["labels"],
            "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
        },
        "status": {"phase": "Running", "conditions": [ready], **status},
    }
