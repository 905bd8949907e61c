"""The rules of `canary lint` for valid releases, in one table that docs/lint.md shows.

The models in `canary/api` reject invalid files; these rules find risks in valid ones.
"""

from dataclasses import dataclass
from enum import StrEnum

from canary.api import Path


class LintLevel(StrEnum):
    """Severity of a finding."""

    ERROR = "error"
    """The release cannot work."""
    WARNING = "warning"
    """The release works, with a risk."""


class LintInput(StrEnum):
    """What a rule needs to be checked."""

    FILE = "the file alone"
    MANIFESTS = "other manifests, or --cluster"
    CLUSTER = "--cluster"
    PROMETHEUS = "--prometheus"


@dataclass(frozen=True, slots=True)
class LintRule:
    """One kind of finding."""

    id: str
    level: LintLevel
    needs: LintInput
    title: str
    """What is wrong, in one sentence."""
    remedy: str
    """What to do, in one sentence."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A rule that applies at a path of the release."""

    rule: LintRule
    path: Path
    message: str
    """What was found."""
    query: str | None = None
    """The PromQL query, for reproduction."""

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        return f"{self.message}. {self.rule.remedy}"


E, W = LintLevel.ERROR, LintLevel.WARNING
_FILE, _MANIFESTS = LintInput.FILE, LintInput.MANIFESTS
_CLUSTER, _PROMETHEUS = LintInput.CLUSTER, LintInput.PROMETHEUS

RULES: tuple[LintRule, ...] = (
    LintRule("first-step-large", W, _FILE,
         "The first step sends more than 10 % of the traffic to an untested version.",
         "Start with 1 to 5 %, so that a broken version affects few users."),
    LintRule("steep-step", W, _FILE,
         "A step raises the weight more than tenfold and above 25 %.",
         "Add a step in between."),
    LintRule("last-step-small", W, _FILE,
         "The last step is below 20 %; promotion then raises the traffic more than fivefold.",
         "Add a step of 25 to 50 %, to find faults that occur only under load."),
    LintRule("no-bake", W, _FILE,
         "Without bake the new version is not monitored after promotion.",
         "Set bake: 30m, because leaks and slow faults can appear after the last step."),
    LintRule("min-duration-short", W, _FILE,
         "A version may be promoted after less than 5 minutes under traffic.",
         "Set analysis.minDuration above the interval of the rarest relevant fault (default 20m)."),
    LintRule("deadline-tight", W, _FILE,
         "Step durations and minDuration leave less than a third of the deadline for evidence.",
         "Raise deadline or shorten the steps, or good releases pause as inconclusive."),
    LintRule("no-data-timeout-beyond-deadline", W, _FILE,
         "The deadline is not longer than noDataTimeout.",
         "Set analysis.noDataTimeout below deadline."),
    LintRule("progress-beyond-deadline", W, _FILE,
         "The deadline is not longer than progressDeadline, after which pods count as never ready.",
         "Set progressDeadline below deadline."),
    LintRule("promote-without-evidence", W, _FILE,
         "An inconclusive release is promoted, so with too little traffic there is no protection.",
         "Use onInconclusive: Pause and let a person decide."),
    LintRule("no-requests-judged", W, _FILE,
         "No metric compares the failed requests of both versions.",
         "Add a ratio metric (docs/spec.md)."),
    LintRule("client-errors-unseen", W, _FILE,
         "No metric counts requests that are rejected with 4xx.",
         "Add a clientErrors metric, or a version that rejects every request is promoted."),
    LintRule("lax-threshold", W, _FILE,
         "A threshold accepts a version that users would consider an outage.",
         "Use at most: tolerance 3, limit 0.2 of the requests, falsePositiveRate 0.05."),
    LintRule("interval-short", W, _FILE,
         "The interval is below 5 s, shorter than the usual scrape intervals of Prometheus.",
         "Use 10s, or source: scrape."),
    LintRule("propagation-delay-none", W, _FILE,
         "A router that does not confirm weights gets less than 2 s to apply one.",
         "Set traffic.propagationDelay: 5s."),
    LintRule("leak-window-long", W, _FILE,
         "The leak window is longer than the release is monitored.",
         "Shorten leak.window, or lengthen the steps, analysis.minDuration or bake."),
    LintRule("checks-after-traffic", W, _FILE,
         "With the replicas router, canary pods get traffic before their checks have run.",
         "Use a route (docs/routers.md), or run the checks before deploying."),
    LintRule("weights-by-pods", W, _FILE,
         "With the replicas router, a weight of a few percent needs many pods.",
         "Use steps of 25 and 50, or a route (docs/routers.md)."),
    LintRule("metric-impossible", E, _FILE,
         "A metric can never be queried with this configuration.",
         "Use another preset, or set total and bad (docs/spec.md)."),
    LintRule("grpc-errors-unseen", E, _FILE,
         "A metric counts HTTP statuses behind a GRPCRoute, but gRPC errors have HTTP status 200.",
         "Use a preset that sees gRPC errors: grpc, otel-grpc, otel-rpc, istio-grpc, linkerd."),
    LintRule("query-without-canary-pods", W, _FILE,
         "A query without {{ canary_pods }} does not measure the canary.",
         'Select canary pods: {pod=~"{{ canary_pods }}"}.'),
    LintRule("same-target", E, _FILE,
         "Two releases have the same target; the second one is refused.",
         "Delete one of them."),
    LintRule("one-canary-pod", W, _MANIFESTS,
         "The canary is a single pod, so a bad node looks like a bad version.",
         "Run the target with at least two replicas."),
    LintRule("no-history", W, _MANIFESTS,
         "The Deployment keeps no ReplicaSet of the previous version.",
         "Set revisionHistoryLimit to at least 1, so that a failed bake can roll back."),
    LintRule("recreate-by-pods", W, _MANIFESTS,
         "Without a router, a Deployment with strategy Recreate is down during promotion.",
         "Use strategy RollingUpdate, or a route (docs/routers.md)."),
    LintRule("paused-in-manifest", W, _MANIFESTS,
         "The manifest sets spec.paused, which canary uses to hold the rollout.",
         "Remove paused from the manifest, because each apply would overwrite it."),
    LintRule("other-controller", E, _MANIFESTS,
         "Argo Rollouts, Flagger or Kruise Rollouts also scales the Deployment.",
         "Remove the other controller's object, because both would revert each other's changes."),
    LintRule("capacity-not-kept", W, _MANIFESTS,
         "KEDA reverts changes to its autoscaler, so stable may lose pods during a release.",
         "Set minReplicaCount to the number of pods that stable needs during a release."),
    LintRule("exclusive-resource", W, _MANIFESTS,
         "The pods use an exclusive resource, so canary pods may never become ready.",
         "Make sure that an additional pod can start, or the release ends as NeverReady."),
    LintRule("configuration-unversioned", W, _MANIFESTS,
         "A rollback restores the template, not the content of a ConfigMap or Secret.",
         "Put the version in its name (Kustomize's configMapGenerator) or annotate a checksum."),
    LintRule("not-isolated", E, _MANIFESTS,
         "A Service would select canary pods, and no label can be changed to prevent it.",
         "Let each Service select a label that may have another value on canary pods."),
    LintRule("route-unfit", E, _MANIFESTS,
         "The route has no rule that can be weighted.",
         "Reference a route and a rule that send traffic to the Service."),
    LintRule("route-unsplit", W, _MANIFESTS,
         "A route to the Service is not in the release; its traffic stays with stable.",
         "Add it to traffic.routes; it has to be in the release's namespace."),
    LintRule("envoy-one-cluster", E, _MANIFESTS,
         "Envoy Gateway reports both versions as one cluster.",
         "Use a preset per pod (http, fastapi …); docs/routers.md lists alternatives."),
    LintRule("canary-missed", W, _MANIFESTS,
         "A selector uses the isolation label and does not match canary pods.",
         "Add the canary's value to the selector, or choose another label with isolation.labels."),
    LintRule("target-missing", E, _CLUSTER,
         "The Deployment does not exist.",
         "Create it, or correct target.name and the namespace."),
    LintRule("service-missing", E, _CLUSTER,
         "The Service does not exist.",
         "Create it, or correct service.name."),
    LintRule("route-missing", E, _CLUSTER,
         "The route does not exist.",
         "Create it, or correct its name under traffic."),
    LintRule("route-not-accepted", W, _CLUSTER,
         "No controller has accepted the route.",
         "Check its status.parents; weights have no effect before the route is accepted."),
    LintRule("cron-job-missing", E, _CLUSTER,
         "A check's CronJob does not exist.",
         "Create it with suspend: true, or correct jobFrom.cronJob."),
    LintRule("cron-job-not-allowed", E, _CLUSTER,
         "A check's CronJob does not allow checks to run it.",
         "Label it canary-controller.dev/checks=allowed."),
    LintRule("cron-job-runs", W, _CLUSTER,
         "A check's CronJob is not suspended, so it also runs on its schedule.",
         "Set suspend: true."),
    LintRule("secret-missing", E, _CLUSTER,
         "A Secret or its key does not exist.",
         "Create it, or correct secretRef."),
    LintRule("target-taken", E, _CLUSTER,
         "Another release already manages the Deployment.",
         "Delete one of the two releases."),
    LintRule("lookup-failed", W, _CLUSTER,
         "A lookup was forbidden or failed.",
         "Grant the permission that the message names."),
    LintRule("no-data", E, _PROMETHEUS,
         "A query has no data for the running pods.",
         "Check preset, labels and scraping; without data a release waits and then pauses."),
    LintRule("status-label", E, _PROMETHEUS,
         "The preset reads the status from a label that the series do not have.",
         "Use preset http for label code, http-status for label status."),
    LintRule("pool-unlimited", W, _PROMETHEUS,
         "A pool has no maximum, so its utilization is undefined.",
         "Limit the pool in the application, or set pool.max."),
    LintRule("too-little-traffic", W, _PROMETHEUS,
         "The current traffic does not give enough evidence before the deadline.",
         "Raise smallestRegression, the weights or the deadline."),
    LintRule("step-starves", W, _PROMETHEUS,
         "With the current traffic, a step waits long for the evidence that the next one needs.",
         "Start with a larger weight, or accept the wait."),
    LintRule("scraped-less-often", W, _PROMETHEUS,
         "The pods are scraped less often than analysis.interval.",
         "Raise analysis.interval or scrape more often; a shorter interval shows nothing new."),
    LintRule("prometheus-unknown", E, _PROMETHEUS,
         "analysis.prometheus names no source in the file of --prometheus-config.",
         "Correct the name, or add the source to the operator's file and to yours."),
    LintRule("query-failed", W, _PROMETHEUS,
         "A query failed.",
         "Retry when Prometheus responds, or use --cluster."),
)  # fmt: skip

BY_ID = {rule.id: rule for rule in RULES}


def make_finding(rule: str, path: Path, message: str, query: str | None = None) -> LintFinding:
    """Return a finding of the rule with this id; strips the final full stop of the message."""
    return LintFinding(BY_ID[rule], path, message.rstrip("."), query)
