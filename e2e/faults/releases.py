"""A service in a namespace of its own, released again and again while faults happen."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canary.api import Intent, Phase, Result
from canary.clock import now
from canary.kube.objects import RELEASES, Object
from e2e.faults.invariants import (
    ReleasePlan,
    Weights,
    find_leftovers,
    find_violations,
    read_weights,
)
from e2e.faults.observer import ClusterObserver
from e2e.harness.auth import IMAGE, LOCKED, NAME, RESTRICTED, namespace, route, service
from e2e.harness.kubectl import apply, get, kubectl, wait_for
from e2e.harness.recorder import CANARY, Status
from e2e.harness.release import ERRORS, KIND, ReleaseManifest, request

SERVER = Path(__file__).with_name("server.py").read_text("utf-8")
STEPS = (20, 50)
DURATION = 4.0
MANIFEST = ReleaseManifest(
    weights=STEPS,
    hold=f"{DURATION:g}s",
    settle="1s",
    warm_up="2s",
    minimum="12s",
    patience="3m",
    progress_deadline="3m",
    deadline="15m",
    smallest_regression=0.05,
    metrics=(ERRORS,),
)
KINDS = ("httproute", "service", "deployment")
MOST_PAUSES = 5
"""How often a person resumes a release after a pause."""
BAD = 0.6
"""Share of the requests that a bad version fails."""


@dataclass
class ReleaseUnderFault:
    """One service with its CanaryRelease."""

    namespace: str
    observer: ClusterObserver
    replicas: int = 2
    number: int = 1
    """Of the newest version."""
    plan: ReleasePlan | None = None
    """Of the release in flight or of the last one."""
    shipped_at: float = 0.0
    _newest: float = 0.0
    _before: Sequence[Object] = field(default_factory=tuple)

    def set_up(self) -> None:
        """Apply everything; the caller waits for the adoption by an operator."""
        manifests = (self._deployment(0.0), service(self.namespace), route(self.namespace))
        apply(namespace(self.namespace), *manifests)
        kubectl("-n", self.namespace, "rollout", "status", f"deployment/{NAME}", "--timeout=120s")
        apply(MANIFEST.manifest(self.namespace))

    def tear_down(self) -> None:
        """Delete the namespace; the operator may be gone already, so the finalizer is removed."""
        drop = ("patch", KIND, NAME, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        if get(self.namespace, KIND, NAME) is not None:
            kubectl("-n", self.namespace, "delete", KIND, NAME, "--wait=false")
        if get(self.namespace, KIND, NAME) is not None:
            kubectl("-n", self.namespace, *drop)
        kubectl("delete", "namespace", self.namespace, "--wait=false")

    @property
    def status(self) -> Status:
        """The release's status as last observed."""
        found = self.observer.latest(self.namespace, RELEASES, NAME)
        return (found or {}).get("status") or {}

    @property
    def weights(self) -> Weights:
        """The weights since the last version was shipped."""
        return read_weights(self.observer.since(self.namespace, self.shipped_at))

    def wait(self, what: str, seconds: float = 60.0, **fields: Any) -> None:
        """Wait until the status has these fields."""

        def holds() -> bool:
            status = self.status
            return all(status.get(key) == value for key, value in fields.items())

        self._wait_for(what, holds, seconds)

    def weight_reaches(self, weight: int, seconds: float = 400.0) -> None:
        """Wait until the canary has at least this weight."""

        def holds() -> bool:
            return self.weights.highest >= weight

        self._wait_for(f"weight {weight}", holds, seconds)

    @property
    def resting_phase(self) -> str:
        """The phase in which it waits for the next version."""
        rolled_back = self.plan is not None and not self.plan.healthy
        return Phase.ROLLED_BACK if rolled_back else Phase.READY

    def pods(self) -> list[str]:
        """Return the names of all pods, the canary's first."""
        names = kubectl("-n", self.namespace, "get", "pods", "-o", "name").split()
        return sorted(
            (name.removeprefix("pod/") for name in names),
            key=lambda name: not name.startswith(f"{CANARY}-"),
        )

    def over_within(self, seconds: float) -> None:
        """Wait until the release has ended, whatever it takes but a person."""
        self._wait_for("the release's end", self.over, seconds)

    def ship(self, *, healthy: bool, **changes: bool) -> None:
        """Apply the next version."""
        self._before = [self._get(kind) for kind in KINDS]
        self._newest = float(self.newest["endedAt"])
        self.number += 1
        version = f"v{self.number}"
        self.plan = ReleasePlan(version, STEPS, DURATION, healthy, **changes)
        self.shipped_at = now()
        apply(self._deployment(0.0 if healthy else BAD))

    def over(self) -> bool:
        """Whether the release has ended and everything is put back, as its status says."""
        status = self.status
        resting = status.get("intent") == Intent.REST and not status.get("release")
        return resting and self.newest["endedAt"] != self._newest

    def resume(self) -> None:
        """What a person does after a pause."""
        ask = ("annotate", "--overwrite", KIND, NAME, request("resume"))
        kubectl("-n", self.namespace, *ask)

    def end(self, seconds: float) -> str:
        """Wait for the end; a pause with a reason is one as well, and is resumed by a person.

        Returns how it ended, for people. Raises TimeoutError.
        """
        paused: list[str] = []

        def holds() -> bool:
            status = self.status
            if self.over():
                return True
            pause = (status.get("release") or {}).get("pause")
            if status.get("phase") == Phase.PAUSED and pause and len(paused) < MOST_PAUSES:
                key = f"{pause['reason']}@{pause['since']}"
                if key not in paused:
                    paused.append(key)
                    self.resume()
            return False

        self._wait_for("the release's end", holds, seconds)
        reasons = ", ".join(key.partition("@")[0] for key in paused)
        return str(self.newest["result"]) + (f" (resumed after {reasons})" if reasons else "")

    @property
    def newest(self) -> dict[str, Any]:
        """The entry of history of the release that ended last."""
        history = self.status.get("history") or [{"endedAt": 0, "result": "none"}]
        newest: dict[str, Any] = (
            history[0] if history[0]["endedAt"] >= history[-1]["endedAt"] else history[-1]
        )
        return newest

    def said(self) -> str:
        """The status in one line."""
        status, keys = self.status, ("phase", "reason", "message", "intent", "weight", "verdict")
        return f"weights {self.weights}, status { ({key: status.get(key) for key in keys}) }"

    def violations(self) -> list[str]:
        """Return every invariant that the last release violated."""
        assert self.plan is not None
        log = self.observer.since(self.namespace, self.shipped_at)
        found = find_violations(self.plan, log)
        found += [] if self.over() else [f"it has not ended: {self.said()}"]
        if self.over():
            entry = self.newest
            wanted = Result.PROMOTED if self.plan.healthy else Result.ROLLED_BACK
            if entry["result"] != wanted:
                found.append(f"it ended as {entry['result']}: {entry.get('message')}")
            found += self.leftovers()
        return [f"{self.namespace} {self.plan.version}: {one}" for one in found]

    def leftovers(self, seconds: float = 30.0) -> list[str]:
        """Return what is not given back although that much time has passed."""
        found: list[str] = []

        def clean() -> bool:
            kinds = "deployments,services,jobs,horizontalpodautoscalers"
            names = kubectl("-n", self.namespace, "get", kinds, "-o", "name").split()
            after = [self._get(kind) for kind in KINDS]
            found[:] = find_leftovers(self._before, after, names)
            return not found

        try:
            wait_for("everything to be given back", clean, seconds, every=1.0)
        except TimeoutError:
            return found
        return []

    def _wait_for(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        try:
            self.observer.wait(f"{self.namespace}: {what}", holds, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {self.said()}") from error

    def _get(self, kind: str) -> Object:
        found = get(self.namespace, kind, NAME)
        assert found is not None, f"{kind} {NAME} is gone"
        return found

    def _deployment(self, errors: float) -> Object:
        env = {"VERSION": f"v{self.number}", "ERRORS": str(errors)}
        container = {
            "name": NAME,
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-c", SERVER],
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {
                "httpGet": {"path": "/healthz", "port": "http"},
                "periodSeconds": 1,
                "timeoutSeconds": 5,  # a busy test machine is no flaw
            },
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "securityContext": dict(LOCKED),
        }
        template = {
            "metadata": {"labels": {"app": NAME}},
            "spec": {
                "terminationGracePeriodSeconds": 10,
                "securityContext": dict(RESTRICTED),
                "automountServiceAccountToken": False,
                "containers": [container],
            },
        }
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": NAME}},
                "strategy": rolling,
                "template": template,
            },
        }


def state_of_service(release: ReleaseUnderFault) -> str:
    """Return resource versions that a release at rest must not change, as text."""
    found = {kind: get(release.namespace, kind, NAME) or {} for kind in KINDS}
    versions = {kind: obj["metadata"]["resourceVersion"] for kind, obj in found.items()}
    versions["deployment"] = found["deployment"]["metadata"]["generation"]
    return json.dumps(versions)
