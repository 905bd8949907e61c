"""What the operator's account may do, and whose objects it takes for its own."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.api import Verdict
from canary.kube.cache import Cache, Scope
from canary.kube.cached import CachedObjects
from canary.kube.objects import CRON_JOBS, PODS, REPLICA_SETS
from tests.kube.fake_cluster import FakeCluster
from tests.kube.fixtures_release import NAMESPACE
from tests.kube.test_workloads_checks import JOB_CHECK, end, ended_pod, jobs, run, stage_with

MANIFESTS = Path(__file__).parents[2] / "manifests"
RULES = [
    rule
    for document in yaml.safe_load_all((MANIFESTS / "operator/rbac.yaml").read_text())
    if document["kind"] in {"Role", "ClusterRole"}
    for rule in document["rules"]
]


def test_the_account_reads_no_logs_and_changes_only_its_own_lease():
    """Making a Lease cannot be granted by name."""
    resources = {resource for rule in RULES for resource in rule["resources"]}
    assert not {"pods/log", "pods/exec", "secrets", "configmaps"} & resources
    leases = [rule for rule in RULES if "leases" in rule["resources"]]
    for rule in leases:
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["canary-controller"]


def test_the_fence_is_about_the_account_that_is_installed():
    """Another name would fence nobody."""
    policy, binding = yaml.safe_load_all((MANIFESTS / "fence/policy.yaml").read_text())
    (condition,) = policy["spec"]["matchConditions"]
    assert "system:serviceaccount:canary-system:canary'" in condition["expression"]
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert "Deny" in binding["spec"]["validationActions"]


def test_a_cron_job_without_the_label_is_not_run():
    """Whoever may write a release must not run with the account of any CronJob."""
    stage = stage_with(JOB_CHECK)
    (cron_job,) = stage.cluster.list(CRON_JOBS, NAMESPACE, {})
    cron_job["metadata"]["labels"] = {}
    stage.cluster.put(CRON_JOBS, cron_job)
    run(stage)
    (check,) = stage.workloads.read(stage.resource()).checks
    assert jobs(stage) == []
    assert check.verdict is Verdict.NO_DATA
    assert "no label canary-controller.dev/checks=allowed" in check.message


def test_a_job_that_somebody_else_made_says_nothing():
    """Its name can be worked out; it was to be the Job of the check."""
    stage = stage_with(JOB_CHECK)
    run(stage)
    (job,) = jobs(stage)
    job["metadata"]["ownerReferences"] = []
    end(stage, job, "Complete")
    (check,) = stage.workloads.read(stage.resource()).checks
    assert check.verdict is Verdict.NO_DATA
    assert "was not made for this release" in check.message


@pytest.mark.parametrize("references", [[], [{"uid": "another", "controller": True}]])
def test_a_pod_that_only_has_the_labels_of_a_check_says_nothing(references: list[Any]):
    """Exit code 3 of it would roll back a good version."""
    stage = stage_with(JOB_CHECK)
    run(stage)
    (job,) = jobs(stage)
    pod = ended_pod(job["metadata"]["name"], 3, "I say so")
    pod["metadata"]["ownerReferences"] = references
    stage.cluster.put(PODS, pod)
    (check,) = stage.workloads.read(stage.resource()).checks
    assert (check.verdict, check.message) == (Verdict.CONTINUE, "running")


def test_an_object_of_another_namespace_is_nobodys_of_here():
    """Anybody may write a uid that he has read elsewhere into his own object."""
    cluster = FakeCluster()
    for namespace in ("prod", "evil"):
        cluster.put(
            REPLICA_SETS,
            {
                "metadata": {
                    "name": f"set-{namespace}",
                    "namespace": namespace,
                    "ownerReferences": [{"uid": "u1", "controller": True}],
                }
            },
        )
    cache = Cache(Scope(REPLICA_SETS))
    cache.replace(
        [one for place in ("prod", "evil") for one in cluster.list(REPLICA_SETS, place, {})], "1"
    )
    found = CachedObjects(cluster, (cache,)).list_owned(REPLICA_SETS, "prod", "u1")
    assert [one["metadata"]["name"] for one in found] == ["set-prod"]


def test_the_namespaced_variant_has_no_right_in_other_namespaces():
    """But to look whether the policy that holds Deployments is there."""
    found = list(yaml.safe_load_all((MANIFESTS / "namespaced.yaml").read_text()))
    bound = {one["roleRef"]["name"] for one in found if one["kind"] == "ClusterRoleBinding"}
    assert bound == {"canary-hold-mode"}
    (role,) = (
        one for one in found if one["kind"] == "Role" and one["metadata"]["name"] == "canary"
    )
    assert role["metadata"]["namespace"] == "prod"
    assert role["rules"] == [rule for rule in RULES if rule in role["rules"]]
    (operator,) = (one for one in found if one["kind"] == "Deployment")
    assert "--namespace=prod" in operator["spec"]["template"]["spec"]["containers"][0]["args"]
