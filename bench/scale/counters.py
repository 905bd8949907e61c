"""What the API server, Prometheus and the operator have counted.

The API server counts by FlowSchema: the operator's account has three of its own, so that its reads,
its writes and the requests for its Lease are counted apart from those of everybody else.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from bench.scale.processes import Monitoring, Operator, read, run_kubectl
from canary.kube.objects import Kind, Object

FLOW_SCHEMAS = Kind("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema")
MIB = 1 << 20
_DISPATCHED = "apiserver_flowcontrol_dispatched_requests_total"
_READS, _WRITES, _LEASES = "canary-bench-reads", "canary-bench-writes", "canary-bench-leases"


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums since the start of each process."""

    cpu: float
    """Seconds of CPU of the operator."""
    reads: float
    writes: float
    leases: float
    """Requests of the operator, as the API server counts them; `leases` are those for its Lease."""
    queries: float
    evaluation: float
    """Queries to Prometheus, and the seconds that it has evaluated them."""
    passes: float
    waited: float
    """Reconciles, and the total seconds that they have waited in the queue."""
    slow: float
    """Reconciles that waited for more than 0.1 s in the queue."""

    def minus(self, earlier: "Counters") -> "Counters":
        """Return the differences."""
        mine = (field.name for field in fields(self))
        return Counters(**{name: getattr(self, name) - getattr(earlier, name) for name in mine})


@dataclass(frozen=True, slots=True)
class Resources:
    """What the operator's process holds now."""

    rss: float
    """Bytes."""
    files: int
    threads: int


def flow_schemas(namespace: str, account: str) -> Iterator[Object]:
    """Yield the FlowSchemas by which the API server counts the requests of this account."""
    reading = ["get", "list", "watch"]
    kinds = (
        (_LEASES, 300, ["*"], ["coordination.k8s.io"]),
        (_READS, 301, reading, ["*"]),
        (_WRITES, 302, ["*"], ["*"]),
    )
    subject = {
        "kind": "ServiceAccount",
        "serviceAccount": {"namespace": namespace, "name": account},
    }
    for name, precedence, verbs, groups in kinds:
        everything = {"resources": ["*"], "namespaces": ["*"], "clusterScope": True}
        rule = {
            "subjects": [subject],
            "resourceRules": [{"verbs": verbs, "apiGroups": groups, **everything}],
        }
        spec = {
            "matchingPrecedence": precedence,
            "priorityLevelConfiguration": {"name": "workload-low"},
            "rules": [rule],
        }
        metadata = {"name": name}
        yield {
            "apiVersion": FLOW_SCHEMAS.api_version,
            "kind": FLOW_SCHEMAS.kind,
            "metadata": metadata,
            "spec": spec,
        }


class Meter:
    """Reads the counters of all three."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring

    def read(self, operator: Operator) -> Counters:
        """Return the counters now."""
        server = self._server_counts()
        queried = list(_samples(read(f"{self._monitoring.url}/metrics")))
        own = list(_samples(operator.page))
        return Counters(
            cpu=_process_seconds(operator.child.pid),
            reads=server.get(_READS, 0.0),
            writes=server.get(_WRITES, 0.0),
            leases=server.get(_LEASES, 0.0),
            queries=_sum(own, "canary_metric_queries_total"),
            evaluation=_sum(queried, "prometheus_engine_query_duration_seconds_sum", "inner_eval"),
            passes=_sum(own, "workqueue_queue_duration_seconds_count"),
            waited=_sum(own, "workqueue_queue_duration_seconds_sum"),
            slow=_sum(own, "workqueue_queue_duration_seconds_count")
            - _sum(own, "workqueue_queue_duration_seconds_bucket", "0.1"),
        )

    def passes(self, operator: Operator) -> float:
        """Return how many reconciles the operator has begun."""
        return _sum(list(_samples(operator.page)), "workqueue_queue_duration_seconds_count")

    def _server_counts(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for sample in _samples(run_kubectl("get", "--raw", "/metrics"), _DISPATCHED):
            name = sample.labels["flow_schema"]
            found[name] = found.get(name, 0.0) + sample.value
        return found


def read_resources(pid: int) -> Resources:
    """Return what a process holds now."""
    folder = Path("/proc") / str(pid)
    pages = int((folder / "statm").read_text().split()[1])
    return Resources(
        rss=pages * os.sysconf("SC_PAGE_SIZE"),
        files=len(list((folder / "fd").iterdir())),
        threads=len(list((folder / "task").iterdir())),
    )


def count_watches() -> float:
    """Return how many watches the API server serves, to everybody."""
    page = run_kubectl("get", "--raw", "/metrics")
    found = _samples(page, "apiserver_longrunning_requests{")
    return sum(one.value for one in found if one.labels["verb"] == "WATCH")


def _process_seconds(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    text = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")


def _samples(page: str, *names: str) -> Iterator[Sample]:
    """Yield the samples of a metrics page; of these names only, as some pages are long."""
    lines = page.splitlines(keepends=True)
    chosen = [line for line in lines if line.startswith(names)] if names else lines
    for family in text_string_to_metric_families("".join(chosen)):
        yield from family.samples


def _sum(samples: Sequence[Sample], name: str, label: str = "") -> float:
    """Return the sum of the samples of this name, of those where some label has this value."""
    found = (one for one in samples if one.name == name)
    return sum(one.value for one in found if not label or label in one.labels.values())
