"""A release that cannot be followed, on its way out."""

from canary.core.rollout.terminate import CLEANUP_TIMEOUT
from canary.kube.objects import RELEASES
from canary.kube.workloads.names import FINALIZER
from canary.kube.workloads.pods import parse_timestamp
from tests.kube.fixtures_release import KEY, NAMESPACE, ReleaseOnFakeCluster


def test_deletion_is_blocked_for_a_while_only() -> None:
    """A spec that nobody can read does not keep the release for ever."""
    stage = ReleaseOnFakeCluster()
    add = {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER, "other/keeper"]}
    stage.cluster.patch(RELEASES, NAMESPACE, KEY.name, [add])
    stage.cluster.delete(RELEASES, NAMESPACE, KEY.name, "Background")
    found = stage.cluster.get(RELEASES, NAMESPACE, KEY.name)
    assert found is not None
    deleted = parse_timestamp(found["metadata"]["deletionTimestamp"])
    stage.releases.refuse(KEY, "no such preset", deleted + CLEANUP_TIMEOUT - 1)
    stage.releases.refuse(KEY, "no such preset", deleted + CLEANUP_TIMEOUT + 1)
    found = stage.cluster.get(RELEASES, NAMESPACE, KEY.name)
    assert found is not None
    assert found["metadata"]["finalizers"] == ["other/keeper"]
    assert found["status"]["reason"] == "InvalidSpec"
