"""All that `canary lint` can say of a valid release, in one table; docs/lint.md shows it.

What makes a file invalid is the models' own (`canary/api`); these are what a careful reviewer says.
"""

from dataclasses import dataclass
from enum import StrEnum

from canary.api import Path


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """It cannot work."""
    WARNING = "warning"
    """It works, and is a risk."""


class Needs(StrEnum):
    """What has to be there to find out."""

    FILE = "the file"
    MANIFESTS = "the other manifests among the FILEs, or --cluster"
    CLUSTER = "--cluster"
    PROMETHEUS = "--prometheus"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong."""

    id: str
    level: Level
    needs: Needs
    title: str
    """What is found, in one sentence."""
    remedy: str
    """What to do about it, in one sentence."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that has found something, at a path of the release."""

    rule: Rule
    path: Path
    message: str
    """What was found, here."""
    query: str | None = None
    """The PromQL that was asked, to paste."""

    @property
    def sentence(self) -> str:
        """What was found and what to do."""
        return f"{self.message}. {self.rule.remedy}"


E, W = Level.ERROR, Level.WARNING
_FILE, _MANIFESTS = Needs.FILE, Needs.MANIFESTS
_CLUSTER, _PROMETHEUS = Needs.CLUSTER, Needs.PROMETHEUS

RULES: tuple[Rule, ...] = (
    Rule("first-step-large", W, _FILE,
         "The first step gives more than 10 % of the users to a version that nobody has seen.",
         "Begin with 1 to 5 %: a dead version then hurts few."),
    Rule("steep-step", W, _FILE,
         "A step raises the weight more than tenfold and above 25 %.",
         "Put a step in between."),
    Rule("last-step-small", W, _FILE,
         "The last step is below 20 %: from there everybody gets the version at once.",
         "Add a step of 25 to 50 %: what only load brings up shows there."),
    Rule("no-bake", W, _FILE,
         "Without bake the new version is not monitored after promotion.",
         "Set bake: 30m: leaks and slow faults show later than the steps."),
    Rule("min-duration-short", W, _FILE,
         "Promotion may follow after less than 5 minutes under traffic.",
         "Set analysis.minDuration longer than the rarest fault you care about (default 20m)."),
    Rule("deadline-tight", W, _FILE,
         "Step durations and minDuration leave less than a third of the deadline for evidence.",
         "Raise deadline, or shorten the steps: else good releases pause as inconclusive."),
    Rule("no-data-timeout-beyond-deadline", W, _FILE,
         "The deadline comes before noDataTimeout ends.",
         "Set analysis.noDataTimeout below deadline."),
    Rule("progress-beyond-deadline", W, _FILE,
         "The deadline comes before pods that never become ready are given up.",
         "Set progressDeadline below deadline."),
    Rule("promote-without-evidence", W, _FILE,
         "What is inconclusive is promoted: too little traffic then means no protection.",
         "Use onInconclusive: Pause, and let a person decide."),
    Rule("no-requests-judged", W, _FILE,
         "No metric compares failed requests with those of the running version.",
         "Add a ratio metric (docs/spec.md)."),
    Rule("client-errors-unseen", W, _FILE,
         "No metric counts requests that are refused as the client's mistake (4xx).",
         "Add a clientErrors metric: else a version that refuses everybody is promoted."),
    Rule("lax-threshold", W, _FILE,
         "A threshold lets through what users would call an outage.",
         "Keep tolerance up to 3, limit up to 0.2 of requests, falsePositiveRate up to 0.05."),
    Rule("interval-short", W, _FILE,
         "The interval is below 5 s, which hardly any Prometheus scrapes at.",
         "Use 10s, or source: scrape."),
    Rule("propagation-delay-none", W, _FILE,
         "A router that confirms nothing gets less than 2 s to follow a weight.",
         "Set traffic.propagationDelay: 5s."),
    Rule("leak-window-long", W, _FILE,
         "The window for leaks is longer than the release is watched.",
         "Shorten leak.window, or lengthen the steps, analysis.minDuration or bake."),
    Rule("checks-after-traffic", W, _FILE,
         "With the replicas router a canary pod gets traffic before its checks have run.",
         "Use a route (docs/routers.md), or run the checks before you deploy."),
    Rule("weights-by-pods", W, _FILE,
         "With the replicas router a weight of a few percent needs as many pods.",
         "Use steps of 25 and 50, or a route (docs/routers.md)."),
    Rule("metric-impossible", E, _FILE,
         "A metric can never be asked for as it stands.",
         "Take another preset, or name total and bad (docs/spec.md)."),
    Rule("grpc-errors-unseen", E, _FILE,
         "A metric counts HTTP statuses behind a GRPCRoute: a gRPC error has the HTTP status 200.",
         "Use a preset that sees gRPC errors: grpc, otel-grpc, otel-rpc, istio-grpc, linkerd."),
    Rule("query-of-both", W, _FILE,
         "A query without {{ canary_pods }} measures something else than the canary.",
         'Select the canary: {pod=~"{{ canary_pods }}"}.'),
    Rule("same-target", E, _FILE,
         "Two releases guard one Deployment: the second is refused.",
         "Keep one of them."),
    Rule("one-canary-pod", W, _MANIFESTS,
         "The canary is a single pod: one bad node looks like a bad version.",
         "Run the target with at least two replicas."),
    Rule("no-history", W, _MANIFESTS,
         "The Deployment keeps no ReplicaSet of the version before.",
         "Set revisionHistoryLimit to at least 1: a failed bake has nothing to go back to."),
    Rule("recreate-by-pods", W, _MANIFESTS,
         "Without a router a Deployment that rolls by Recreate is down while it is promoted.",
         "Use strategy RollingUpdate, or a route (docs/routers.md)."),
    Rule("paused-in-manifest", W, _MANIFESTS,
         "The manifest sets spec.paused, which is what holds the Deployment.",
         "Leave paused out of the manifest: applying it would un-hold it again and again."),
    Rule("other-controller", E, _MANIFESTS,
         "Argo Rollouts, Flagger or Kruise Rollouts scales the Deployment as well.",
         "Remove the other controller's object: two would undo each other's changes."),
    Rule("capacity-not-kept", W, _MANIFESTS,
         "KEDA writes its autoscaler back, so stable may lose pods while a release runs.",
         "Set minReplicaCount to what stable needs while the canary has part of the traffic."),
    Rule("exclusive-resource", W, _MANIFESTS,
         "Only one node or one pod per node can have it: the canary may never become ready.",
         "Make sure that a further pod can start; else it ends as NeverReady, without traffic."),
    Rule("configuration-unversioned", W, _MANIFESTS,
         "A rollback brings back the template, not the content of a ConfigMap or Secret.",
         "Name it by version (configMapGenerator of Kustomize), or add a checksum annotation."),
    Rule("not-isolated", E, _MANIFESTS,
         "A Service would select canary pods, and no label can keep them apart.",
         "Let each Service select by a label of the pods that may differ in canary pods."),
    Rule("route-unfit", E, _MANIFESTS,
         "No weight can be written into the route.",
         "Name a route, and a rule of it, that sends traffic to the Service."),
    Rule("route-unsplit", W, _MANIFESTS,
         "A route sends to the Service and is not in the release: its traffic stays with stable.",
         "Name it in traffic.routes, in the release's own namespace."),
    Rule("envoy-one-cluster", E, _MANIFESTS,
         "Envoy Gateway counts both versions as one cluster.",
         "Use a preset per pod (http, fastapi …); docs/routers.md says what else can be done."),
    Rule("canary-missed", W, _MANIFESTS,
         "A selector uses the isolation label and does not match canary pods.",
         "Add the canary's value there as well; or choose another label with isolation.labels."),
    Rule("target-missing", E, _CLUSTER,
         "The Deployment does not exist.",
         "Deploy it first, or correct target.name and the namespace."),
    Rule("service-missing", E, _CLUSTER,
         "The Service does not exist.",
         "Create it, or correct service.name."),
    Rule("route-missing", E, _CLUSTER,
         "The route does not exist.",
         "Create it, or correct its name under traffic."),
    Rule("route-not-accepted", W, _CLUSTER,
         "No controller has accepted the route as it is.",
         "See its status.parents: no weight counts before it is accepted."),
    Rule("cron-job-missing", E, _CLUSTER,
         "A check's CronJob does not exist.",
         "Create it with suspend: true, or correct jobFrom.cronJob."),
    Rule("cron-job-runs", W, _CLUSTER,
         "A check's CronJob is not suspended, so it runs by its schedule as well.",
         "Set suspend: true."),
    Rule("secret-missing", E, _CLUSTER,
         "A Secret, or the key in it, does not exist.",
         "Create it, or correct secretRef."),
    Rule("target-taken", E, _CLUSTER,
         "Another release holds the Deployment already.",
         "Delete one of the two."),
    Rule("not-looked", W, _CLUSTER,
         "A lookup was forbidden.",
         "Grant the right that is named, or ask somebody who has it."),
    Rule("no-data", E, _PROMETHEUS,
         "A query has no data for the running pods.",
         "Check preset, labels and scraping: without data a release waits, then pauses."),
    Rule("status-label", E, _PROMETHEUS,
         "The preset looks for the status in a label that the series do not have.",
         "Use the preset http for the label code, http-status for the label status."),
    Rule("pool-unlimited", W, _PROMETHEUS,
         "A pool has no maximum, so how much of it is in use is not known.",
         "Limit the pool in the application, or set pool.max."),
    Rule("too-little-traffic", W, _PROMETHEUS,
         "At the present traffic the evidence does not come before the deadline.",
         "Raise smallestRegression, the weights or the deadline."),
    Rule("step-starves", W, _PROMETHEUS,
         "At the present traffic a step waits long for the evidence that the next one needs.",
         "Begin with a larger weight, or accept that it takes so long."),
    Rule("scraped-less-often", W, _PROMETHEUS,
         "The pods are scraped less often than the release looks.",
         "Raise analysis.interval, or scrape more often: nothing new is seen in between."),
    Rule("not-answered", W, _PROMETHEUS,
         "A query failed.",
         "Try again where Prometheus answers, or with --cluster."),
)  # fmt: skip

BY_ID = {rule.id: rule for rule in RULES}


def finding(rule: str, path: Path, message: str, query: str | None = None) -> Finding:
    """A finding of the rule with this id; the message without a full stop at its end."""
    return Finding(BY_ID[rule], path, message.rstrip("."), query)
