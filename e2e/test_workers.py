"""Workers without a Service: a queue's consumers, judged by their own counters; CANARY_E2E_FULL=1."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from canary.api import Reason, Result
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import IMAGE, LOCKED, RESTRICTED, database, namespace
from e2e.harness.kubectl import apply, get, kubectl, wait_for
from e2e.harness.measurements import Measurements, write_measurements
from e2e.harness.release import KIND, ReleaseManifest
from e2e.test_routes import reaches

__all__ = ["place"]
NAME = "worker"
TASKS: Object = {
    "name": "tasks",
    "ratio": {"total": "tasks_total", "bad": 'tasks_total{result="failed"}'},
}


def deployment(place: str, name: str, *arguments: str, replicas: int = 4) -> Object:
    """The consumers of the namespace's queue, or who fills it."""
    labels = {"app": name}
    container = {
        "name": NAME,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "/opt/app/worker.py"],
        "args": ["--dsn", database(), "--queue", place, *arguments],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
        "securityContext": dict(LOCKED),
    }
    if name == NAME:
        page = {"path": "/metrics", "port": 8080}
        container["readinessProbe"] = {"httpGet": page, "periodSeconds": 1}
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": place},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": scraped if name == NAME else {}},
                "spec": {
                    "terminationGracePeriodSeconds": 10,
                    "securityContext": dict(RESTRICTED),
                    "automountServiceAccountToken": False,
                    "containers": [container],
                },
            },
        },
    }


def release(place: str) -> Object:
    """Shared by the number of pods: one of five, then four of eight."""
    made = ReleaseManifest(weights=(20, 50), metrics=(TASKS,)).manifest(place)
    made["metadata"]["name"] = NAME
    made["spec"] |= {
        "target": {"name": NAME},
        "traffic": {"replicas": {}, "propagationDelay": "2s"},
    }
    return made


@contextmanager
def working(place: str) -> Iterator[None]:
    """Consumers at work, guarded."""
    apply(namespace(place))
    try:
        apply(deployment(place, "producer", "--produce", "60", replicas=1))
        apply(deployment(place, NAME))
        for name in ("producer", NAME):
            kubectl("-n", place, "rollout", "status", f"deployment/{name}", "--timeout=120s")
        apply(release(place))
        reaches(place, NAME, lambda status: status.get("phase") == "Ready", 60)
        yield
    finally:
        kubectl("-n", place, "delete", KIND, "--all", "--timeout=90s")
        kubectl("delete", "namespace", place, "--ignore-not-found", "--wait=false")


@pytest.mark.parametrize(
    ("failures", "result", "reasons"),
    [
        pytest.param("0", Result.PROMOTED, {Reason.PROMOTED}, id="good"),
        pytest.param(
            "0.5",
            Result.ROLLED_BACK,
            {Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT, Reason.CANARY_OUTAGE},
            id="failing",
        ),
    ],
)
def test_workers_are_judged_by_their_own_counters(
    place: str, failures: str, result: Result, reasons: set[Reason]
):
    """No Service, no route: the queue shares the work, and the canary takes its part."""
    with working(place):
        apply(deployment(place, NAME, "--label", "v2", "--failures", failures))
        status = reaches(
            place, NAME, lambda one: bool(one.get("history")) and not one.get("release"), 400
        )
        entry = status["history"][0]
        assert entry["result"] == result, entry
        assert Reason(entry["reason"]) in reasons
        wait_for("the canary to go", lambda: get(place, "deployment", f"{NAME}-canary") is None, 60)
        assert get(place, "service", f"{NAME}-canary") is None
    write_measurements(Measurements(f"workers, {failures} of tasks fail", result, entry["reason"]))
