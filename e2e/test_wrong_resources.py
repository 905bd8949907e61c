"""5,000 wrong CanaryReleases on a real API server: each is refused there, or by the operator with a reason."""

import json

from canary.errors import UsageError
from canary.kube.releases import parse_release
from e2e.fixtures_manifests import NAMESPACE, Kubectl, cluster
from tests.hostile.wrong_resources import wrong_resource

__all__ = ["cluster"]
RESOURCES = 5000
BATCH = 500


def batch(first: int) -> str:
    """A List of resources, without those that JSON cannot hold."""
    items = []
    for number in range(first, first + BATCH):
        item = wrong_resource(number)
        item["metadata"]["namespace"] = NAMESPACE
        try:
            json.dumps(item, allow_nan=False, ensure_ascii=False).encode("utf-8")
        except ValueError:
            continue
        items.append(item)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def test_the_api_server_and_the_operator_refuse_with_a_reason(cluster: Kubectl) -> None:
    """Nothing that the server takes makes the operator fail, and most of it the server refuses."""
    accepted: list[int] = []
    for first in range(0, RESOURCES, BATCH):
        options = ("--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
        done = cluster("create", "-n", NAMESPACE, *options, stdin=batch(first))
        assert "panic" not in done.stderr
        accepted += [int(line.rpartition("-")[2]) for line in done.stdout.split()]
    late = [number for number in accepted if not followed(number)]
    assert len(accepted) > RESOURCES / 50
    # Presets, PromQL and rules that CEL cannot express are checked by the operator only.
    assert len(late) < len(accepted) / 2


def followed(number: int) -> bool:
    """Whether the operator follows it; it refuses with a sentence, and never fails."""
    try:
        parse_release(wrong_resource(number))
    except UsageError:
        return False
    return True
