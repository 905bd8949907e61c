"""Checks at each step, while its traffic flows: run with CANARY_E2E_FULL=1."""

import json
import os
from datetime import datetime

from canary.api import Reason, Result
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import IMAGE, LOCKED, RESTRICTED
from e2e.harness.kubectl import apply, kubectl
from e2e.harness.measurements import read_measurements
from e2e.harness.release import ReleaseManifest
from e2e.harness.scenario import start_scenario
from e2e.test_releases import ABRUPT

__all__ = ["place"]
OPERATOR_IMAGE = os.environ.get("CANARY_E2E_IMAGE", "localhost/canary:lab")
LOAD = ("loadtest", "$(CANARY_URL)/healthz", "--rate=20", "--duration=5s", "--max-error-ratio=1%")
AT_SECOND_STEP = "import os, sys; sys.exit(3 if os.environ['CANARY_STEP'] == '2' else 0)"


class Checked(ReleaseManifest):
    """A release with a check at each step."""

    def manifest(self, namespace: str) -> Object:
        """As it is applied."""
        made = super().manifest(namespace)
        check = {"name": "load", "when": "EachStep", "jobFrom": {"cronJob": "load"}}
        made["spec"]["checks"] = [check]
        return made


def cron_job(place: str, **container: object) -> Object:
    """A suspended CronJob: what its Jobs run."""
    whole = {
        "name": "check",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": dict(LOCKED),
        **container,
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": dict(RESTRICTED),
        "containers": [whole],
    }
    template = {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": "load",
            "namespace": place,
            "labels": {"canary-controller.dev/checks": "allowed"},
        },
        "spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": template},
    }


def started(place: str) -> list[float]:
    """When the checks' Jobs were made (seconds since the epoch), the first one first."""
    selector = "canary-controller.dev/check=load"
    jobs = json.loads(kubectl("-n", place, "get", "jobs", "-l", selector, "-o", "json"))["items"]
    stamps = [job["metadata"]["creationTimestamp"] for job in jobs]
    return sorted(datetime.fromisoformat(stamp).timestamp() for stamp in stamps)


def test_a_load_test_runs_at_each_step_once_its_traffic_flows(place: str):
    """`canary loadtest` as a Job for each step; a step passes only with it."""
    with start_scenario(place, Checked(weights=(20, 50)), ABRUPT) as stage:
        apply(cron_job(place, image=OPERATOR_IMAGE, args=list(LOAD)))
        stage.ship(ABRUPT.next("v2"))
        reached = [stage.weight_reaches(weight, 120) for weight in (20, 50)]
        entry = stage.ends(Result.PROMOTED, seconds=240)
        jobs = started(place)
    assert len(jobs) == len(reached)
    for weight_at, job_at in zip(reached, jobs, strict=True):
        assert job_at + 1 > weight_at, "a Job's time is in whole seconds"
    assert jobs[0] < reached[1], "the next weight waits for it"
    figures = read_measurements(stage, "a load test at each step", entry)
    assert figures.dropped == 0, stage.load.failures


def test_a_check_that_fails_at_a_step_rolls_back(place: str):
    """Its traffic flows at 50 % by then; the metrics are fine."""
    with start_scenario(place, Checked(weights=(20, 50)), ABRUPT) as stage:
        command = ["python", "-c", AT_SECOND_STEP]
        apply(cron_job(place, image=IMAGE, command=command))
        stage.ship(ABRUPT.next("v2"))
        entry = stage.ends(Result.ROLLED_BACK, seconds=240)
        stage.nothing_left()
    assert (entry["reason"], entry["peakWeight"]) == (Reason.CHECK_FAILED, 50)
    figures = read_measurements(stage, "a check that fails at 50 %", entry)
    assert figures.dropped == 0, stage.load.failures
