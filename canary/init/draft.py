"""A commented CanaryRelease for a Deployment, made from what was found around it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from canary.api import SpecError, format_duration, load_release
from canary.api.analysis import Source
from canary.core.rollout import canary_replicas, pods_for_share
from canary.core.snapshot import Obstacle
from canary.discovery.gather import Found
from canary.discovery.preset_detection import ABOVE
from canary.discovery.selection import Measured
from canary.discovery.topology import Around, Way
from canary.errors import UsageError
from canary.init.draft_notes import notes
from canary.init.step_planner import DEADLINE, Plan, plan_for
from canary.init.yaml_scalar import scalar
from canary.kube.workloads.isolation import choose_replacements
from canary.metrics.presets import ratio_preset
from canary.text.format import listed, percent, request_rate, roughly

_WIDTH = 98


@dataclass(frozen=True, slots=True)
class Draft:
    """YAML that validates, and what a person should know about it."""

    text: str
    notes: tuple[str, ...]


def draft(found: Found) -> Draft:
    """The release as a file.

    Raises:
        UsageError: nothing that validates can be made of this Deployment.
    """
    judged = found.traffic if found.measured.ratio else None
    plan = plan_for(judged, routed=bool(found.choice.ways))
    lines = [
        *_head(found),
        *_traffic(found),
        *_steps(found, plan),
        *_analysis(found, plan),
        *_tail(),
    ]
    text = "\n".join(lines) + "\n"
    try:
        load_release(text, "the draft")
    except SpecError as error:
        first = error.problems[0]
        raise UsageError(
            f"no valid CanaryRelease can be drafted for Deployment {found.around.name}: "
            f"{first.where}: {first.message}"
        ) from error
    return Draft(text, tuple(notes(found, plan)))


def _said(text: str, indent: int) -> Iterator[str]:
    """A comment, wrapped."""
    line = ""
    for word in text.split():
        if line and indent + len(line) + len(word) + 3 > _WIDTH:
            yield f"{' ' * indent}# {line}"
            line = word
        else:
            line = f"{line} {word}".strip()
    yield f"{' ' * indent}# {line}"


def _head(found: Found) -> Iterator[str]:
    around, name = found.around, scalar(found.around.name)
    yield from _said(f"Guards Deployment {around.name}: each new version first gets a small share "
                     "of the traffic, and is taken back by itself if it is worse.", 0)  # fmt: skip
    yield "# Drafted by `canary init` from what is there; every value says why. Check it after a"
    yield "# change: canary lint FILE. All fields: docs/spec.md."
    yield "apiVersion: canary-controller.dev/v1alpha1"
    yield "kind: CanaryRelease"
    yield "metadata:"
    yield f"  name: {name}"
    if found.named:
        yield f"  namespace: {scalar(around.namespace)}"
    yield "spec:"
    own = "Your own Deployment, in place: no pod restarts when this is applied."
    yield from _said(own + _scaled(around), 2)
    yield f"  target: {{kind: Deployment, name: {name}}}"
    yield from _service(found)


def _scaled(around: Around) -> str:
    """What an autoscaler does while a release runs."""
    if around.scaled_object:
        return (
            f" ScaledObject {around.scaled_object} goes on scaling it, also down while a release"
            " runs: set its minReplicaCount to what stable needs meanwhile."
        )
    if around.autoscaler:
        return (
            f" HorizontalPodAutoscaler {around.autoscaler} goes on scaling it, and cannot shrink"
            " it below what it had while a release runs."
        )
    return ""


def _service(found: Found) -> Iterator[str]:
    around, choice = found.around, found.choice
    if choice.service is None:
        workers = "No Service selects its pods, so these are taken for workers: nothing is sent to"
        yield from _said(f"{workers} them, they take their work themselves.", 2)
        return
    others = [one["metadata"]["name"] for one in around.services if one is not choice.service]
    which = f"Others do as well: {listed(others)}." if others else "No other does."
    yield from _said(f"Selects the Deployment's pods. {which} It is read, never written.", 2)
    yield f"  service: {{name: {scalar(choice.name)}}}"
    if not choice.ways:
        return
    yield from _isolation(found)


def _isolation(found: Found) -> Iterator[str]:
    """Nothing is set: the operator computes the labels at each start, from the Services of then."""
    replaced = choose_replacements(found.around.target, found.around.neighbours)
    if isinstance(replaced, Obstacle):
        yield from _said(f"NOT ISOLATED, so no release can start: {replaced.message}", 2)
        return
    values = listed(f"{key}: {value}" for key, value in replaced.items())
    names = listed(one["metadata"]["name"] for one in found.around.services)
    where = "in the namespace" if found.named else "in these files"
    yield from _said(
        f"Canary pods get {values}: no Service {where} selects them ({names}), and neither does "
        "the Deployment's own selector. What else selects pods by these labels misses the canary "
        "(canary lint --cluster looks for that).", 2)  # fmt: skip
    yield f"  # isolation: {{labels: [{', '.join(scalar(key) for key in replaced)}]}}"


def _traffic(found: Found) -> Iterator[str]:
    choice = found.choice
    yield "  traffic:"
    match choice.ways:
        case ():
            yield from _no_route(found)
            return
        case (way,):
            yield from _one_route(way, choice.name)
        case ways:
            yield from _said(f"{len(ways)} routes send to Service {choice.name}; each weight is "
                             "written to all of them. What comes through a route that is not "
                             "named here stays with stable.", 4)  # fmt: skip
            yield "    routes:"
            yield from (f"    - {_route(way)}" for way in ways)
    if not all(_is_gateway(way) for way in choice.ways):
        yield "    # Nothing confirms a weight here: so long the data plane gets to follow it."
        yield "    propagationDelay: 5s"


def _one_route(way: Way, service: str) -> Iterator[str]:
    yield from _said(f"Sends to Service {service}{_in_rules(len(way.rules))}.", 4)
    names = [name for name in way.rules if name]
    if names:
        yield from _said(f"To weight one rule only, name it: {listed(names)}.", 4)
    yield f"    {_route(way)}"


def _in_rules(rules: int) -> str:
    return " in one rule" if rules == 1 else f" in {rules} rules; all of them are weighted"


def _is_gateway(way: Way) -> bool:
    return way.dialect.kind.group == "gateway.networking.k8s.io"


def _route(way: Way) -> str:
    kind, name = way.dialect.kind.kind, scalar(way.route["metadata"]["name"])
    if _is_gateway(way):
        return f"gatewayAPI: {{kind: {kind}, name: {name}}}"
    if kind == "VirtualService":
        return f"istio: {{virtualService: {name}}}"
    return f"traefik: {{traefikService: {name}}}"


def _no_route(found: Found) -> Iterator[str]:
    if found.choice.service is None:
        shared = (
            "The work is shared by the number of pods: approximately, and a canary pod takes its"
        )
        yield from _said(f"{shared} share as soon as it runs.", 4)
        yield "    replicas: {}"
        return
    ways = found.around.ways.get(found.choice.name)
    foreign = found.around.elsewhere.get(found.choice.name)
    if ways:
        which = f"{listed(way.name for way in ways)} left out, as asked"
    elif foreign:
        which = (
            f"{listed(foreign)} sends to Service {found.choice.name}, but from another namespace; "
            "only a route of the release's own namespace can be weighted"
        )
    else:
        which = f"No route that can be weighted sends to Service {found.choice.name}"
    yield from _said(
        f"{which}: so the traffic is shared by the number of pods. That is approximate, and a "
        "canary pod gets its share as soon as it is ready. Better: a route (docs/routers.md), as "
        "gatewayAPI, istio or traefik.", 4)  # fmt: skip
    yield "    replicas: {}"


def _steps(found: Found, plan: Plan) -> Iterator[str]:
    around = found.around
    if around.cron_jobs and found.choice.ways:
        yield from _said("Checks before any traffic, as Jobs from a suspended CronJob; there "
                         f"{'are' if len(around.cron_jobs) > 1 else 'is'}: "
                         f"{listed(around.cron_jobs)}.", 2)  # fmt: skip
        yield "  # checks:"
        yield f"  # - {{name: smoke, jobFrom: {{cronJob: {scalar(around.cron_jobs[0])}}}}}"
    replicas = int(around.target["spec"].get("replicas", 1))
    first = plan.steps[0][0]
    size = canary_replicas if found.choice.ways else pods_for_share
    pods = size(replicas, first)
    yield from _said(f"Percent of the traffic, and how long at least. {_rate(found, first)}The "
                     f"first step takes {pods} canary pod{'' if pods == 1 else 's'} beside "
                     f"{replicas}. `approval: true` waits for `canary promote`.", 2)  # fmt: skip
    yield "  steps:"
    for weight, length in plan.steps:
        yield f"  - {{weight: {weight}, duration: {format_duration(length)}}}"
    yield "  # Watched on after promotion; a failure puts the version before back."
    yield "  bake: 30m"
    yield from _said("A release that has not ended by then pauses and says why.", 2)
    yield f"  deadline: {format_duration(DEADLINE)}"


def _rate(found: Found, first: int) -> str:
    if found.traffic is None or found.traffic.rate <= 0:
        return ""
    share = request_rate(found.traffic.rate * first / 100)
    return f"There are {request_rate(found.traffic.rate)} now, so {first} % are {share}. "


def _analysis(found: Found, plan: Plan) -> Iterator[str]:
    yield "  analysis:"
    yield from _source(found)
    yield from _said(
        "Promotion needs at least this long under traffic: longer than the rarest fault that you "
        "care about.",
        4,
    )
    yield "    minDuration: 20m"
    yield from _said(f"Promotion has to rule out that {percent(plan.regression)} more requests "
                     f"fail than do now. {_course(plan)}", 4)  # fmt: skip
    yield f"    smallestRegression: {plan.regression:g}"
    yield "    # Chance that a version as good as the running one is ever rolled back."
    yield "    falsePositiveRate: 0.01"
    yield "    metrics:"
    yield from _metrics(found)


def _source(found: Found) -> Iterator[str]:
    if found.source is Source.SCRAPE:
        yield "    # The pods' own metrics pages; `prometheus`, where the operator can ask one."
        yield "    source: scrape"
        yield "    interval: 5s"
        return
    interval = max(10.0, found.scrape or 0.0)
    seen = f"Prometheus scrapes the pods every {roughly(found.scrape)}. " if found.scrape else ""
    yield "    source: prometheus"
    yield from _said(f"{seen}Looking more often than pods are scraped shows nothing new.", 4)
    yield f"    interval: {format_duration(float(int(min(interval, 300.0))))}"


def _course(plan: Plan) -> str:
    course = plan.course
    if course is None:
        return "How long that takes depends on the traffic, which is not known here."
    takes = f"That takes {course.requests:,.0f} canary requests"
    return f"{takes}: at the present traffic a good release ends after {roughly(course.seconds)}."


def _metrics(found: Found) -> Iterator[str]:
    measured = found.measured
    if measured.why:
        yield from _said(f"NOT SEEN in any data ({measured.why}): check it with "
                         "canary lint --cluster --prometheus URL.", 4)  # fmt: skip
    if measured.ratio is not None:
        others = f" As well seen: {listed(measured.others)}." if measured.others else ""
        yield from _said(f"{_failures(measured.ratio)} out of all. Fails when worse than 1.25 "
                         f"times stable, or above 5 %.{others}", 4)  # fmt: skip
        yield (f"    - {{name: errors, ratio: {{preset: {measured.ratio}}}, tolerance: 1.25, "
               "limit: 0.05}")  # fmt: skip
        yield from _client_errors(measured.ratio)
    if measured.slow is not None:
        yield from _said(f"Requests slower than {measured.slow.bound}, the histogram's bucket "
                         "bound nearest to `above`; compared with stable only.", 4)  # fmt: skip
        yield (f"    - {{name: slow, latency: {{preset: {measured.slow.preset}, "
               f"above: {format_duration(ABOVE)}}}}}")  # fmt: skip
    for preset in measured.pools:
        name = "pool" if len(measured.pools) == 1 else f"pool-{preset}"
        yield from _said("Database connections: fails above 75 % of the pool, or when 3 are held "
                         "and never given back within 10 minutes.", 4)  # fmt: skip
        yield (f"    - {{name: {name}, pool: {{preset: {preset}}}, limit: 0.75, "
               "leak: {connections: 3, window: 10m}}")  # fmt: skip
    yield from _could_be(measured)


def _failures(preset: str) -> str:
    """What the preset counts as an error."""
    http_only = ratio_preset(preset).http_only
    return "5XX answers" if http_only else "Requests that the server failed"


def _client_errors(preset: str) -> Iterator[str]:
    """A version that refuses everybody has no 5XX at all."""
    if ratio_preset(preset).client is None:
        return
    yield from _said("Requests refused as the client's mistake (4xx, as 401 or 404): no error, but "
                     "many more than stable's are. Compared with stable only.", 4)  # fmt: skip
    yield f"    - {{name: refused, clientErrors: {{preset: {preset}}}, tolerance: 1.5}}"


def _could_be(measured: Measured) -> Iterator[str]:
    for preset in measured.limitless:
        yield from _said(
            f"A pool was seen whose size nobody exports ({preset}): give it as max.", 4
        )
        yield f"    # - {{name: pool, pool: {{preset: {preset}, max: POOL_SIZE}}, limit: 0.75}}"


def _tail() -> Iterator[str]:
    yield "  # Who is told; the URL stays in a Secret of this namespace."
    yield "  # notify:"
    yield "  # - {slack: {secretRef: {name: SECRET, key: KEY}}}"
