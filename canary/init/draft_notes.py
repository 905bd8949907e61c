"""Lists what a person should know about a draft. Pure."""

from collections.abc import Iterator

from canary.core.snapshot import Obstacle
from canary.discovery.gather import DraftInput
from canary.discovery.selection import carries_grpc, counts_as_one_cluster
from canary.discovery.topology import OLD_TRAEFIK_GROUP
from canary.init.step_planner import DEADLINE, StepPlan
from canary.kube.workloads.isolation import choose_replacements
from canary.text.format import format_request_rate, join_names, rough_duration


def collect_notes(found: DraftInput, plan: StepPlan) -> Iterator[str]:
    """Yield a sentence for each thing that was not found or needs attention."""
    topology, selection, measured = found.topology, found.selection, found.measured
    yield from (f"lookup failed: {sentence}" for sentence in topology.lookup_errors)
    yield from (
        f"{other} also scales Deployment {topology.name}: remove it before a release starts"
        for other in topology.other_controllers
    )
    if not selection.service_routes:
        yield f"{_explain_pod_sharing(found)}: the draft splits traffic by number of pods"
    replaced = (
        choose_replacements(topology.target, topology.neighbors) if selection.service_routes else {}
    )
    if isinstance(replaced, Obstacle):
        yield f"no release can start: {replaced.message}"
    if counts_as_one_cluster(topology, selection):
        yield ("Envoy Gateway reports both versions as one cluster here, so its metrics cannot be "
               "used (docs/routers.md)")  # fmt: skip
    if measured.ratio is None:
        grpc = "that sees gRPC errors " if carries_grpc(selection) else ""
        yield f"no metric of requests {grpc}was found: only connection pools are analyzed"
    if measured.why:
        yield f"no data was found for the metrics: {measured.why}"
    if not measured.pools and not measured.unlimited_pools:
        yield "no metric of a connection pool was found: a leak shows up only as failed requests"
    yield from _traffic_notes(found, plan)


def _traffic_notes(found: DraftInput, plan: StepPlan) -> Iterator[str]:
    if found.traffic is None:
        yield "the current traffic is not known: check with canary lint --cluster --prometheus URL"
    elif found.traffic.rate <= 0:
        yield "no request in the last ten minutes: without traffic a release waits"
    elif found.traffic.is_young:
        yield (f"the traffic was measured over {rough_duration(found.traffic.seconds)} only: run "
               "canary init again after ten minutes of traffic")  # fmt: skip
    elif plan.forecast is not None and plan.forecast.seconds > DEADLINE:
        yield (f"{format_request_rate(found.traffic.rate)} are too few for a result within "
               f"{rough_duration(DEADLINE)}: a release would pause as inconclusive")  # fmt: skip


def _explain_pod_sharing(found: DraftInput) -> str:
    topology, name = found.topology, found.selection.name
    if found.selection.service is None:
        return f"no Service selects the pods of Deployment {topology.name}, so they are workers"
    if topology.service_routes.get(name):
        names = join_names(route.name for route in topology.service_routes[name])
        return f"{names} excluded by --route none"
    if old := topology.outdated.get(name):
        sends = f"{join_names(old)} sends traffic to Service {name} and is in the API group"
        return f"{sends} {OLD_TRAEFIK_GROUP}, which Traefik no longer reads: move it to traefik.io"
    senders = topology.unweighted.get(name, ())
    also = f" ({join_names(senders)} cannot be weighted)" if senders else ""
    if foreign := topology.elsewhere.get(name):
        sends = f"{join_names(foreign)} sends traffic to Service {name} from another namespace"
        return f"{sends}; only routes in the release's namespace can be weighted{also}"
    return f"no route sends traffic to Service {name}{also}"
