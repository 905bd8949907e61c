"""What a draft is made from, and what a person should know who gets it. Pure."""

from collections.abc import Iterator

from canary.core.snapshot import Obstacle
from canary.discovery.gather import Found
from canary.discovery.selection import carries_grpc, one_cluster
from canary.discovery.topology import OLD_TRAEFIK
from canary.init.step_planner import DEADLINE, Plan
from canary.kube.workloads.isolation import choose_replacements
from canary.text.format import listed, request_rate, roughly


def notes(found: Found, plan: Plan) -> Iterator[str]:
    """One sentence for each thing that was not found, or is not as one would wish."""
    around, choice, measured = found.around, found.choice, found.measured
    yield from (f"not seen: {sentence}" for sentence in around.unseen)
    yield from (
        f"{other} scales Deployment {around.name} as well: remove it before a release starts"
        for other in around.other_controllers
    )
    if not choice.ways:
        yield f"{_why_pods(found)}: the draft shares traffic by the number of pods, approximately"
    replaced = choose_replacements(around.target, around.neighbours) if choice.ways else {}
    if isinstance(replaced, Obstacle):
        yield f"no release can start: {replaced.message}"
    if one_cluster(around, choice):
        yield ("Envoy Gateway counts both versions as one cluster here, so its own metrics cannot "
               "be judged (docs/routers.md)")  # fmt: skip
    if measured.ratio is None:
        grpc = "that sees gRPC errors " if carries_grpc(choice) else ""
        yield f"no metric of requests {grpc}was found: only connection pools are judged"
    if measured.why:
        yield f"metrics were not seen: {measured.why}"
    if not measured.pools and not measured.limitless:
        yield "no metric of a connection pool was found: a leak shows only in failed requests"
    if found.traffic is None:
        yield "the traffic is not known: check with canary lint --cluster --prometheus URL"
    elif found.traffic.rate <= 0:
        yield "not one request came in the last ten minutes: without traffic a release waits"
    elif plan.course is not None and plan.course.seconds > DEADLINE:
        yield (f"{request_rate(found.traffic.rate)} are too few to judge a release within "
               f"{roughly(DEADLINE)}: it would pause as inconclusive")  # fmt: skip


def _why_pods(found: Found) -> str:
    around, name = found.around, found.choice.name
    if found.choice.service is None:
        return f"no Service selects the pods of Deployment {around.name}: taken for workers"
    if around.ways.get(name):
        return f"{listed(way.name for way in around.ways[name])} left out, as asked"
    if old := around.outdated.get(name):
        return (f"{listed(old)} sends to Service {name} in the API group {OLD_TRAEFIK}, which is "
                "too old: move it to traefik.io (Traefik 2.10 and later)")  # fmt: skip
    senders = around.unweighted.get(name, ())
    also = f" ({listed(senders)} cannot be weighted)" if senders else ""
    if foreign := around.elsewhere.get(name):
        said = f"{listed(foreign)} sends to Service {name} from another namespace, and a release"
        return f"{said} weights only routes of its own namespace{also}"
    return f"no route sends to Service {name}{also}"
