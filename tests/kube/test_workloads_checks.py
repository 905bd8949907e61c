"""Checks before traffic: which Job is made, what its end means, and what webhooks answer."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from canary.api import CheckStatus, Intent, Status, Verdict
from canary.api import Release as Releasing
from canary.core.plan import DeleteCanary, RunChecks
from canary.http.client import HttpError
from canary.kube.objects import CRON_JOBS, JOBS, PODS, RELEASES, Object
from canary.kube.workloads import Webhooks
from canary.kube.workloads.check_jobs import build_job, canary_address, read_job_result
from canary.kube.workloads.names import CHECK
from tests.kube.fixtures_release import NAMESPACE, SERVICE, ReleaseOnFakeCluster, build_deployment
from tests.metrics.real_prometheus import wait_until

CRON_JOB = """
metadata: {name: auth-smoke, namespace: prod, labels: {canary-controller.dev/checks: allowed}}
spec:
  suspend: true
  jobTemplate:
    metadata: {labels: {team: login}, annotations: {why: smoke}}
    spec:
      template:
        spec:
          initContainers: [{name: wait, image: 'x:1'}]
          containers:
          - name: smoke
            image: x:1
            env: [{name: CANARY_URL, value: mine}, {name: OTHER, value: kept}]
"""
JOB_CHECK = {"name": "smoke", "jobFrom": {"cronJob": "auth-smoke"}}
HOOK_CHECK = {"name": "board", "webhook": {"url": "https://board.example/ask"}}


def stage_with(*checks: object) -> ReleaseOnFakeCluster:
    """A release in flight that has these checks."""
    stage = ReleaseOnFakeCluster()
    stage.cluster.create(CRON_JOBS, NAMESPACE, build_deployment(CRON_JOB))
    change = {"op": "add", "path": "/spec/checks", "value": list(checks)}
    stage.cluster.edit(RELEASES, NAMESPACE, "auth", [change])
    return in_flight(stage)


def in_flight(stage: ReleaseOnFakeCluster, **release: Any) -> ReleaseOnFakeCluster:
    """The status says so."""
    fields = {"template": "v2", "started_at": 1.0, "replicas": 4} | release
    stage.resource(Status(intent=Intent.ADVANCE, release=Releasing.model_validate(fields)))
    return stage


def looked(stage: ReleaseOnFakeCluster) -> list[tuple[str, Verdict]]:
    """How the checks stand."""
    found = stage.workloads.read(stage.resource()).checks
    return [(one.name, one.verdict) for one in found]


def run(stage: ReleaseOnFakeCluster) -> None:
    """One pass wants the checks to run."""
    stage.workloads.apply(stage.resource(), RunChecks("v2"))


def jobs(stage: ReleaseOnFakeCluster) -> list[Object]:
    """All Jobs."""
    return stage.cluster.list(JOBS, NAMESPACE, {})


def end(stage: ReleaseOnFakeCluster, job: Object, condition: str, code: int | None = None) -> None:
    """The Job ends; with a code, so does its pod."""
    job["status"] = {"conditions": [{"type": condition, "status": "True", "message": "why"}]}
    stage.cluster.put(JOBS, job)
    if code is not None:
        pod = ended_pod(job["metadata"]["name"], code, "one\ntwo\nthree")
        pod["metadata"]["ownerReferences"] = [{"uid": job["metadata"]["uid"], "controller": True}]
        stage.cluster.put(PODS, pod)


def ended_pod(job: str, code: int, message: str = "") -> Object:
    """A pod of a Job after its end."""
    terminated = {"exitCode": code, "message": message}
    labels = {"batch.kubernetes.io/job-name": job}
    return {
        "metadata": {"name": f"{job}-1", "namespace": NAMESPACE, "labels": labels},
        "status": {"containerStatuses": [{"name": "c", "state": {"terminated": terminated}}]},
    }


def test_a_job_is_made_as_the_cron_job_would_make_it() -> None:
    """Ours to own and to time out; told where canary and stable are; its last words are kept."""
    owner = {"metadata": {"name": "auth", "uid": "u1"}}
    cron_job = build_deployment(CRON_JOB)
    made = build_job(cron_job, owner, "smoke", "auth-smoke-1", {"CANARY_URL": "u"})
    assert cron_job == build_deployment(CRON_JOB)
    assert made["metadata"]["labels"]["team"] == "login"
    assert made["metadata"]["labels"][CHECK] == "smoke"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert (made["spec"]["backoffLimit"], made["spec"]["ttlSecondsAfterFinished"]) == (0, 86400)
    pod = made["spec"]["template"]["spec"]
    assert pod["containers"][0]["env"] == [
        {"name": "OTHER", "value": "kept"},
        {"name": "CANARY_URL", "value": "u"},
    ]
    policies = {c["terminationMessagePolicy"] for c in pod["containers"] + pod["initContainers"]}
    assert policies == {"FallbackToLogsOnError"}


RESULTS = [
    pytest.param(None, None, Verdict.CONTINUE, "running", id="it runs"),
    pytest.param("Complete", 0, Verdict.PASS, "", id="exit code 0: pass"),
    pytest.param("Failed", 3, Verdict.FAIL, "said", id="exit code 3: fail"),
    pytest.param(None, 3, Verdict.FAIL, "said", id="exit code 3, to be tried again: fail at once"),
    pytest.param("Failed", 1, Verdict.NO_DATA, "exit code 1: said", id="another: inconclusive"),
    pytest.param("Failed", None, Verdict.NO_DATA, "why", id="its deadline passed: inconclusive"),
]


@pytest.mark.parametrize(("condition", "code", "verdict", "message"), RESULTS)
def test_what_the_end_of_a_job_means(
    condition: str | None, code: int | None, verdict: Verdict, message: str
) -> None:
    """The exit code decides, and the last lines are passed on."""
    found = [{"type": condition, "status": "True", "message": "why"}] if condition else []
    pods = [ended_pod("j", code, "said")] if code is not None else []
    status = read_job_result("smoke", {"status": {"conditions": found}}, pods)
    assert status == CheckStatus(name="smoke", verdict=verdict, message=message)


def test_only_the_last_lines_are_kept() -> None:
    """A status is no place for a log."""
    text = "\n".join(f"line {index}" for index in range(100))
    status = read_job_result("smoke", {}, [ended_pod("j", 3, text)])
    assert status.message.splitlines() == [f"line {index}" for index in range(95, 100)]


def test_checks_run_one_after_the_other() -> None:
    """The second is started when the first has passed, and each only once."""
    stage = stage_with(JOB_CHECK, {**JOB_CHECK, "name": "leaks"})
    assert looked(stage) == [("smoke", Verdict.CONTINUE), ("leaks", Verdict.CONTINUE)]
    run(stage)
    run(stage)
    (job,) = jobs(stage)
    end(stage, job, "Complete")
    run(stage)
    assert len(jobs(stage)) == 2
    assert looked(stage) == [("smoke", Verdict.PASS), ("leaks", Verdict.CONTINUE)]
    last = next(one for one in jobs(stage) if one["metadata"]["name"] != job["metadata"]["name"])
    env = last["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "CANARY_URL", "value": "http://auth-canary.prod.svc:80"} in env
    assert {"name": "STABLE_URL", "value": "http://auth.prod.svc:80"} in env
    end(stage, last, "Failed", 3)
    assert looked(stage)[1] == ("leaks", Verdict.FAIL)


def test_another_attempt_runs_them_again() -> None:
    """The same template after a retry, or resumed after an inconclusive check."""
    stage = stage_with(JOB_CHECK)
    run(stage)
    end(stage, jobs(stage)[0], "Failed", 1)
    assert looked(stage) == [("smoke", Verdict.NO_DATA)]
    in_flight(stage, resumed_at=50.0)
    assert looked(stage) == [("smoke", Verdict.CONTINUE)]
    run(stage)
    assert len(jobs(stage)) == 2


def test_passed_checks_are_not_looked_at_again() -> None:
    """Their results are in the status."""
    stage = in_flight(stage_with(JOB_CHECK), checks=(CheckStatus(name="smoke"),))
    assert looked(stage) == []


def test_a_cron_job_that_is_not_there_is_inconclusive() -> None:
    """Nothing passes because it could not be run."""
    stage = stage_with({"name": "smoke", "jobFrom": {"cronJob": "none"}})
    run(stage)
    (check,) = stage.workloads.read(stage.resource()).checks
    assert check.verdict is Verdict.NO_DATA
    assert "CronJob none does not exist" in check.message


def test_jobs_that_still_run_end_with_the_canary() -> None:
    """What has ended stays to be read."""
    stage = stage_with(JOB_CHECK, {**JOB_CHECK, "name": "leaks"})
    run(stage)
    end(stage, jobs(stage)[0], "Complete")
    run(stage)
    stage.workloads.apply(stage.resource(), DeleteCanary())
    assert [one["metadata"]["labels"][CHECK] for one in jobs(stage)] == ["smoke"]


ANSWERS = [
    pytest.param(204, Verdict.PASS, "HTTP 204", id="2xx: pass"),
    pytest.param(200, Verdict.PASS, "HTTP 200", id="2xx as well: pass"),
    pytest.param(302, Verdict.NO_DATA, "HTTP 302", id="3xx is not followed: inconclusive"),
    pytest.param(403, Verdict.FAIL, "HTTP 403", id="4xx: fail"),
    pytest.param(503, Verdict.NO_DATA, "HTTP 503", id="5xx: inconclusive"),
    pytest.param(None, Verdict.NO_DATA, "refused", id="no answer: inconclusive"),
]


@pytest.mark.parametrize(("code", "verdict", "message"), ANSWERS)
def test_what_a_webhook_answers(code: int | None, verdict: Verdict, message: str) -> None:
    """Asked off the pass, once, with all that it needs to know."""
    asked: list[Mapping[str, str]] = []
    answered = threading.Event()

    def ask(_url: str, body: Mapping[str, str], _timeout: float) -> int:
        asked.append(body)
        if code is None:
            raise HttpError("refused")
        return code

    def asking(url: str, body: Mapping[str, str], timeout: float) -> int:
        assert answered.wait(10)
        return ask(url, body, timeout)

    stage = stage_with(HOOK_CHECK)
    stage.webhooks = Webhooks(asking, threads=1)
    assert looked(stage) == [("board", Verdict.CONTINUE)]
    run(stage)
    run(stage)
    assert looked(stage) == [("board", Verdict.CONTINUE)]
    answered.set()
    wait_until(lambda: looked(stage)[0][1] is not Verdict.CONTINUE, "the answer")
    (check,) = stage.workloads.read(stage.resource()).checks
    assert (check.verdict, check.message) == (verdict, message)
    assert len(asked) == 1
    assert asked[0]["canaryUrl"] == "http://auth-canary.prod.svc:80"
    assert asked[0]["template"] == "v2"


PORTS = [
    pytest.param({"port": 8080}, "http://auth.prod.svc:8080", id="a port"),
    pytest.param({"port": 443}, "https://auth.prod.svc:443", id="the port of HTTPS"),
    pytest.param(
        {"port": 1, "appProtocol": "https"}, "https://auth.prod.svc:1", id="a port that says so"
    ),
]


@pytest.mark.parametrize(("port", "url"), PORTS)
def test_where_a_side_is(port: dict[str, Any], url: str) -> None:
    """The Service's first port."""
    service = build_deployment(SERVICE)
    service["spec"]["ports"] = [port]
    assert canary_address(service, "auth") == url
