"""Which rights the operator really used, beside those that manifests/ gives it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml
from prometheus_client.samples import Sample

from e2e.harness.installed import ROOT, metrics, pods
from e2e.harness.kubectl import KubectlError

Right = tuple[str, str, str]
"""Group, resource and verb."""

_METRIC: Final = "canary_api_rights_used_total"
_FILE: Final = "rights.txt"
ELSEWHERE: Final[Mapping[str, str]] = {
    "gateway.networking.k8s.io/grpcroutes": "e2e/test_routers.py has no gRPC service",
    "networking.istio.io/virtualservices": "this cluster has no Istio",
    "traefik.io/traefikservices": "e2e/test_routers.py: test_traefik_service",
    "batch/cronjobs": "e2e/test_workloads.py: test_a_check_that_fails_says_why",
    "batch/jobs": "e2e/test_workloads.py: test_a_check_that_fails_says_why",
    "autoscaling/horizontalpodautoscalers": "e2e/test_workloads.py has an autoscaler",
    "events.k8s.io/events": "patched only when the same thing happens again",
    "argoproj.io/rollouts": "this cluster has no Argo Rollouts",
    "rollouts.kruise.io/rollouts": "this cluster has no Kruise Rollouts",
    "flagger.app/canaries": "this cluster has no Flagger",
    "canary-controller.dev/canaryreleases/finalizers": "checked by the API server, never requested",
}
"""Given for what a release may have and those of the whole runs do not: where it is tried."""


def record_permissions(folder: Path) -> None:
    """Adds what the operator's pods have used so far to the folder's list."""
    used = set(read_recorded(folder))
    for pod in pods():
        try:
            used |= set(_used(metrics(pod)))
        except KubectlError:
            continue  # killed, or not there yet
    (folder / _FILE).write_text("".join(f"{' '.join(right)}\n" for right in sorted(used)))


def read_recorded(folder: Path) -> list[Right]:
    """The list so far; the core group is `-`."""
    file = folder / _FILE
    lines = file.read_text().splitlines() if file.exists() else []
    return [(group, resource, verb) for group, resource, verb in map(str.split, lines)]


def list_unused(folder: Path) -> list[str]:
    """What is granted, used by no test of this run and by none of `ELSEWHERE`: `verb resource`."""
    used = set(read_recorded(folder))
    return sorted(
        f"{verb} {_full(group, resource)}"
        for group, resource, verb in list_granted()
        if (group, resource, verb) not in used and _full(group, resource) not in ELSEWHERE
    )


def list_granted() -> Iterator[Right]:
    """What manifests/operator/rbac.yaml gives to the operator's account."""
    documents = yaml.safe_load_all((ROOT / "manifests/operator/rbac.yaml").read_text("utf-8"))
    for role in documents:
        if role["kind"] in {"Role", "ClusterRole"} and not _for_people(role["metadata"]):
            yield from _rights(role["rules"])


def _rights(rules: Iterable[Mapping[str, list[str]]]) -> Iterator[Right]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from ((group or "-", resource, verb) for verb in rule["verbs"])


def _for_people(metadata: Mapping[str, Mapping[str, str]]) -> bool:
    labels = metadata.get("labels", {})
    return any(label.startswith("rbac.authorization.k8s.io/aggregate") for label in labels)


def _used(samples: Iterable[Sample]) -> Iterator[Right]:
    for sample in samples:
        if sample.name == _METRIC:
            labels = sample.labels
            yield labels["group"] or "-", labels["resource"], labels["verb"]


def _full(group: str, resource: str) -> str:
    return resource if group == "-" else f"{group}/{resource}"
