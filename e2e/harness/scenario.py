"""One test's namespace: the service under load, guarded, filmed."""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import requests

from canary.api import Intent, Result
from canary.demo.load.tally import NOBODY
from canary.kube.objects import Object
from e2e.harness.auth import NAME, AuthService, host, namespace, service
from e2e.harness.kubectl import apply, get, kubectl, wait_for
from e2e.harness.load import RunningLoad, run_load
from e2e.harness.recorder import CANARY, ClusterRecorder, Status, record_cluster
from e2e.harness.release import KIND, ReleaseManifest, request


@dataclass
class Scenario:
    """What a test plays on."""

    namespace: str
    guard: ReleaseManifest
    load: RunningLoad
    film: ClusterRecorder
    running: AuthService

    def manifests(self) -> list[Object]:
        """Everything that the team keeps in its repository."""
        own = (self.running.deployment, service, self.guard.route, self.guard.manifest)
        return [made(self.namespace) for made in own]

    def ship(self, version: AuthService) -> None:
        """A new version, applied as any other change."""
        self.running = version
        apply(version.deployment(self.namespace))

    def ask(self, verb: str, **details: str) -> None:
        """What `canary promote`, `abort`, `retry` … do."""
        annotate = ("annotate", "--overwrite", KIND, NAME, request(verb, **details))
        kubectl("-n", self.namespace, *annotate)

    def weight_reaches(self, weight: int, seconds: float = 90) -> float:
        """When the canary first had at least this weight."""
        return self.film.wait(f"weight {weight}", lambda: self.film.weight >= weight, seconds)

    def phase(self, phase: str, seconds: float = 60) -> Status:
        """The status in which the release has this phase."""
        self.film.wait(f"phase {phase}", lambda: self.film.status.get("phase") == phase, seconds)
        return self.film.status

    def ends(self, result: Result, seconds: float = 180, past: int = 0) -> dict[str, Any]:
        """The entry of history with which the next release ends, once everything is put back."""

        def over() -> bool:
            status = self.film.status
            resting = status.get("intent") == Intent.REST and not status.get("release")
            return resting and len(status.get("history") or ()) > past

        self.film.wait("the release's end", over, seconds)
        entry: dict[str, Any] = newest_pod(self.film.status)
        assert entry["result"] == result, f"{entry}; {self.film.said()}"
        return entry

    def nothing_left(self) -> None:
        """The route is what the user wrote, and the canary's objects are gone."""
        wait_for("the canary's objects to go", self._no_canary, 30)
        found = get(self.namespace, "httproute", NAME)
        assert found is not None
        rules = [rule["backendRefs"] for rule in found["spec"]["rules"]]
        assert [[(ref["name"], ref["weight"]) for ref in refs] for refs in rules] == [[(NAME, 1)]]

    def pods(self) -> list[Object]:
        """The pods of the service and of its canary."""
        selector = f"app in ({NAME},{CANARY})"
        words = kubectl("-n", self.namespace, "get", "pods", "-l", selector, "-o", "name").split()
        return [found for name in words if (found := get(self.namespace, *name.split("/")))]

    def fail_health_checks(self, *, fail: bool = True) -> None:
        """The processes of the canary live on; their health checks fail, or pass again."""
        signal = "SIGUSR1" if fail else "SIGUSR2"
        program = f"import os, signal; os.kill(1, signal.{signal})"
        names = [name for pod in self.pods() if (name := _name(pod)).startswith(f"{CANARY}-")]

        def send(name: str) -> None:
            kubectl("-n", self.namespace, "exec", name, "--", "python", "-c", program)

        with ThreadPoolExecutor(len(names) or 1) as pool:
            list(pool.map(send, names))

    def evict_canary(self) -> None:
        """What draining a node does to the canary's pods."""
        for name in sorted(self.film.ready(CANARY)):
            body = {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": name, "namespace": self.namespace},
            }
            path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/eviction"
            kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))

    def _no_canary(self) -> bool:
        kinds = "deployments,services"
        names = kubectl("-n", self.namespace, "get", kinds, "-o", "name").split()
        return not [name for name in names if name.endswith("-canary")]


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])


def newest_pod(status: Status) -> dict[str, Any]:
    """The release that ended last."""
    entries: list[dict[str, Any]] = status["history"]
    return max(entries, key=lambda entry: entry["endedAt"])


@contextmanager
def start_scenario(  # noqa: PLR0913, PLR0917 - what a scenario consists of
    name: str,
    guard: ReleaseManifest | None = None,
    version: AuthService | None = None,
    rate: float = 50.0,
    history: float = 0.0,
    timeout: float = 10.0,
) -> Iterator[Scenario]:
    """The service under load (requests/s) in a namespace of its own, adopted; gone afterwards.

    A request fails after `timeout` seconds. It has served for `history` seconds before the block runs: what a stable version usually does
    is known from hours, in real life.
    """
    guard, version = guard or ReleaseManifest(), version or AuthService()
    with ExitStack() as stack:
        apply(namespace(name))
        stack.callback(_clear, name)
        apply(version.deployment(name), service(name), guard.route(name))
        kubectl("-n", name, "rollout", "status", f"deployment/{NAME}", "--timeout=120s")
        wait_for("the route", lambda: route_answers(name), 30)
        film = stack.enter_context(record_cluster(name))
        load = stack.enter_context(run_load(host(name), rate, timeout)) if rate else RunningLoad()
        stage = Scenario(name, guard, load, film, version)
        apply(guard.manifest(name))
        film.wait("adoption", lambda: bool(film.status.get("stableHash")), 60)
        stage.phase("Ready", 60)
        Event().wait(history)
        stack.callback(lambda: sys.stderr.write(f"{load}\n{_course(film, load)}\n"))
        yield stage
        assert not film.misled(), f"Services that selected canary pods: {film.misled()}"


def _course(film: ClusterRecorder, load: RunningLoad) -> str:
    """The weights with their times, from the first one on, and when the router had no answer."""
    start = film.weights[0].at if film.weights else 0.0
    weights = ", ".join(f"{one.at - start:.1f} s: {one.what} %" for one in film.weights)
    lost = [f"{one.at - start:.1f} s" for one in load.failures if one.version == NOBODY]
    return weights + (f"; lost at {', '.join(lost[:20])}" if lost else "")


def route_answers(name: str) -> bool:
    """Whether the service of this namespace answers through the gateway."""
    url = os.environ["GATEWAY_URL"] + "/check"
    try:
        return "X-Version" in requests.get(url, headers={"Host": host(name)}, timeout=3).headers
    except requests.RequestException:
        return False


def _clear(name: str) -> None:
    """Everything goes; the operator lets the release go first, so nothing of it blocks."""
    kubectl("-n", name, "delete", KIND, "--all", "--timeout=60s")
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
