"""The judge inside Argo Rollouts, Kargo and Flagger, as docs/examples/analyze has it; CANARY_E2E_FULL=1.

What those tools run is run here as they do: a Job that succeeds or fails, and `bash -c CMD`, whose
exit code is the answer of a webhook.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from canary.errors import ExitCode
from canary.kube.objects import Object
from e2e.fixtures_releases import place
from e2e.harness.auth import LOCKED, NAME, RESTRICTED, AuthService, host, namespace, route, service
from e2e.harness.clusters import ROOT
from e2e.harness.installed import IMAGE
from e2e.harness.kubectl import apply, get, kubectl, wait_for
from e2e.harness.load import run_load
from e2e.harness.scenario import route_answers

__all__ = ["place"]
EXAMPLES = ROOT / "docs/examples/analyze"
PROMETHEUS = os.environ.get("OPERATOR_PROMETHEUS_URL") or os.environ.get("PROMETHEUS_URL", "")
RATE, DURATION = 60.0, "180s"
"""Requests/s of all three, and long enough for each to rule out a regression of 0.5 % (default)."""
# Several pods each: what a single pod does may be its own fault and not its version's.
STABLE = AuthService(replicas=2)
BAD, GOOD = STABLE.next("v2", "errors:0.5"), STABLE.next("v2")


def examples(file: str) -> dict[str, Any]:
    """The objects of an example by their kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((EXAMPLES / file).read_text("utf-8"))}


def deployment(place: str, name: str, version: AuthService) -> Object:
    """A Deployment of this name whose pods serve beside the others."""
    made = version.deployment(place)
    made["metadata"]["name"] = name
    made["spec"]["selector"]["matchLabels"]["version"] = name
    made["spec"]["template"]["metadata"]["labels"]["version"] = name
    return made


@contextmanager
def serving(place: str) -> Iterator[None]:
    """As Flagger names them: the stable `auth-primary`, a bad canary `auth`; and a good one, `auth-good`."""
    versions = {f"{NAME}-primary": STABLE, NAME: BAD, f"{NAME}-good": GOOD}
    apply(namespace(place), service(place), route(place))
    try:
        apply(*(deployment(place, name, version) for name, version in versions.items()))
        for name in versions:
            kubectl("-n", place, "rollout", "status", f"deployment/{name}", "--timeout=120s")
        wait_for("the route", lambda: route_answers(place), 30)
        with run_load(host(place), RATE):
            yield
    finally:
        kubectl("delete", "namespace", place, "--ignore-not-found", "--wait=false")


def template_hash(place: str, name: str) -> str:
    """What the pods of a Deployment have between its name and their own letters."""
    path = "jsonpath={.items[0].metadata.labels.pod-template-hash}"
    return kubectl("-n", place, "get", "pods", "-l", f"version={name}", "-o", path)


def job(place: str, name: str, template: Object, arguments: Mapping[str, str]) -> Object:
    """The Job that Argo Rollouts makes of the template's metric."""
    values = {one["name"]: one.get("value") for one in template["spec"]["args"]}
    values |= {"namespace": place, "prometheus": PROMETHEUS, "duration": DURATION, **arguments}
    (metric,) = template["spec"]["metrics"]
    text = yaml.safe_dump(metric["provider"]["job"]["spec"])
    spec = yaml.safe_load(re.sub(r"\{\{args\.([\w-]+)\}\}", lambda it: values[it[1]] or "", text))
    return local(place, name, spec)


def local(place: str, name: str, spec: Object) -> Object:
    """A Job with the image that is on the cluster's nodes."""
    (container,) = spec["template"]["spec"]["containers"]
    container |= {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    meta = {"name": name, "namespace": place}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def webhook(place: str, name: str, command: str) -> Object:
    """A Job that runs the command as Flagger's load tester does."""
    command = command.replace('namespace="prod"', f'namespace="{place}"')
    command = command.replace("http://prometheus.monitoring:9090", PROMETHEUS)
    container = {
        "name": "bash",
        "command": ["bash", "-c", command],
        "securityContext": dict(LOCKED),
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": dict(RESTRICTED),
        "containers": [container],
    }
    return local(place, name, {"backoffLimit": 0, "template": {"spec": pod}})


def ended(place: str, name: str) -> tuple[str, int]:
    """How the Job ended, `Complete` or `Failed`, and the exit code of its pod."""
    wait_for(f"the end of {name}", lambda: bool(_ends(place, name)), 300, every=1.0)
    path = "jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}"
    code = kubectl("-n", place, "get", "pods", "-l", f"job-name={name}", "-o", path)
    sys.stderr.write(f"{name}:\n{kubectl('-n', place, 'logs', f'job/{name}')}\n")
    return _ends(place, name)[0], int(code)


def _ends(place: str, name: str) -> list[str]:
    found = get(place, "job", name) or {}
    conditions = found.get("status", {}).get("conditions") or []
    kinds = [one["type"] for one in conditions if one["status"] == "True"]
    return [kind for kind in kinds if kind in {"Complete", "Failed"}]


def test_jobs_of_other_tools_fail_for_a_worse_canary_only(place: str):
    """AnalysisTemplates of Argo Rollouts and of Kargo read no more than that; Flagger an exit code."""
    argo, kargo = (
        examples(f"{tool}.yaml")["AnalysisTemplate"] for tool in ("argo-rollouts", "kargo")
    )
    hooks = examples("flagger.yaml")["Canary"]["spec"]["analysis"]["webhooks"]
    commands = {one["type"]: one["metadata"]["cmd"] for one in hooks}
    with serving(place):
        stable = f"primary-{template_hash(place, f'{NAME}-primary')}"
        rollout = {"name": NAME, "stable-hash": stable}
        stage = {"stable": f"{NAME}-primary"}
        bad_hash = template_hash(place, NAME)
        apply(
            job(place, "argo-bad", argo, rollout | {"canary-hash": bad_hash}),
            job(place, "argo-good", argo, rollout | {"canary-hash": "good"}),
            job(place, "kargo-bad", kargo, stage | {"canary": NAME}),
            job(place, "kargo-good", kargo, stage | {"canary": f"{NAME}-good"}),
        )
        worse, good = ("Failed", ExitCode.FAILED), ("Complete", ExitCode.OK)
        assert ended(place, "argo-bad") == ended(place, "kargo-bad") == worse
        assert ended(place, "argo-good") == ended(place, "kargo-good") == good
        apply(
            webhook(place, "rollback", commands["rollback"]),
            webhook(place, "promotion", commands["confirm-promotion"]),
        )
        assert ended(place, "rollback") == good
        assert ended(place, "promotion") == worse
