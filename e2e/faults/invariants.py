"""The invariants that every fault has to leave intact, checked on what the observer saw. Pure.

They are written from the manifests alone: nothing of the operator's own rules is used.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from canary.api import Intent, Verdict
from canary.kube.objects import DEPLOYMENTS, HTTP_ROUTES, PODS, RELEASES, Object
from e2e.faults.observer import Observation
from e2e.harness.auth import NAME
from e2e.harness.recorder import CANARY, ENDPOINT_SLICES, canary_weight

SKEW = 3.0
"""Seconds by which watches of different kinds may be apart on a busy machine."""
EARLY = 0.5
"""Seconds by which a step may seem shorter than it is: its start may be seen late."""


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """One release as the test shipped it."""

    version: str
    """Environment variable VERSION of the new template."""
    steps: tuple[int, ...]
    """Weights (percent)."""
    duration: float
    """Seconds of each step."""
    healthy: bool
    """Whether it has to be promoted; otherwise it has to be rolled back."""
    own_weights: bool = True
    """Whether only the operator writes weights; otherwise a test does so as well."""
    steady_clock: bool = True
    """Whether the operator's clock runs like the observer's."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The canary's weights with their times."""

    changes: tuple[tuple[float, int], ...]

    @property
    def highest(self) -> int:
        """The largest weight."""
        return max((weight for _, weight in self.changes), default=0)

    def first_at(self, weight: int) -> float | None:
        """When the weight first was at least this much."""
        return next((at for at, found in self.changes if found >= weight), None)

    def __str__(self) -> str:
        return " → ".join(str(weight) for _, weight in self.changes)


def read_weights(log: Sequence[Observation]) -> Weights:
    """Return the changes of the canary's weight in the route."""
    changes: list[tuple[float, int]] = []
    for one in log:
        if one.kind != HTTP_ROUTES.kind or one.deleted:
            continue
        weight = canary_weight(one.obj)
        if not changes or changes[-1][1] != weight:
            changes.append((one.at, weight))
    return Weights(tuple(changes))


def read_statuses(log: Sequence[Observation]) -> list[tuple[float, dict[str, Any]]]:
    """Return every status of the CanaryRelease with its time."""
    return [(one.at, one.obj.get("status") or {}) for one in log if one.kind == RELEASES.kind]


def find_violations(plan: ReleasePlan, log: Sequence[Observation]) -> list[str]:
    """Return a sentence for each violation by a release that has ended or is paused."""
    return [
        *_weights_outside_steps(plan, log),
        *_unvetted_pods(plan, log),
        *_promotions_without_pass(plan, log),
        *_misled_services(log),
    ]


def _weights_outside_steps(plan: ReleasePlan, log: Sequence[Observation]) -> Iterator[str]:
    """An unvetted version has at most the weight of a step that it may be in, for long enough."""
    if not plan.own_weights:
        return
    allowed = {0, *plan.steps, 100}
    reached, since = 0, 0.0
    ladder = (*plan.steps, 100)
    for at, weight in read_weights(log).changes:
        if weight not in allowed:
            yield f"weight {weight}, which is no step of {plan.steps}"
            continue
        if not plan.healthy and weight > plan.steps[0]:
            yield f"a version that fails got weight {weight}"
        if weight <= reached:
            continue
        if reached and ladder.index(weight) > ladder.index(reached) + 1:
            yield f"weight rose from {reached} to {weight}: a step was left out"
        if reached and plan.steady_clock and at - since < plan.duration - EARLY:
            yield f"step of {reached} % ended after {at - since:.1f} s of {plan.duration:g}"
        reached, since = weight, at


def _unvetted_pods(plan: ReleasePlan, log: Sequence[Observation]) -> Iterator[str]:
    """Pods of the target run the new version only once it had all steps."""
    vetted = read_weights(log).first_at(100) if plan.healthy else None
    for one in log:
        if one.kind != PODS.kind or one.deleted or one.name.startswith(f"{CANARY}-"):
            continue
        early = vetted is None or one.at < vetted - SKEW
        if version_of(one.obj["spec"]) == plan.version and early:
            yield f"pod {one.name} of the target runs {plan.version}, which is not promoted"
            return


def _promotions_without_pass(plan: ReleasePlan, log: Sequence[Observation]) -> Iterator[str]:
    """The decision to promote comes with or after a Pass; a version that fails is never promoted."""
    passed = False
    weighted = read_weights(log).first_at(1) or float("inf")
    for at, status in read_statuses(log):
        passed = passed or (at > weighted and status.get("verdict") == Verdict.PASS)
        if status.get("intent") != Intent.PROMOTE:
            continue
        if not plan.healthy:
            yield "a version that fails is promoted"
        elif not passed:
            yield "it is promoted without a Pass"
        return


def _misled_services(log: Sequence[Observation]) -> Iterator[str]:
    """No Service but the canary's own ever has a canary pod among its endpoints."""
    found = {
        one.obj["metadata"]["labels"]["kubernetes.io/service-name"]
        for one in log
        if one.kind == ENDPOINT_SLICES.kind
        for endpoint in one.obj.get("endpoints") or ()
        if str(endpoint.get("targetRef", {}).get("name", "")).startswith(f"{CANARY}-")
    }
    for service in sorted(found - {CANARY}):
        yield f"Service {service} selected a canary pod"


def version_of(pod_spec: Object) -> str:
    """Return the environment variable VERSION of the first container."""
    env = pod_spec["containers"][0].get("env") or ()
    return next((one["value"] for one in env if one["name"] == "VERSION"), "")


def comparable(obj: Object) -> Object:
    """Return the parts of an object that belong to its user."""
    metadata = obj["metadata"]
    parts: Object = {
        "labels": metadata.get("labels") or {},
        "annotations": dict(metadata.get("annotations") or {}),
        "ownerReferences": metadata.get("ownerReferences") or [],
        "finalizers": metadata.get("finalizers") or [],
        "spec": dict(obj["spec"]),
    }
    if obj["kind"] == DEPLOYMENTS.kind:  # shipped anew for each release
        parts["spec"].pop("template")
        parts["annotations"] = dict.fromkeys(parts["annotations"], "")
        parts["annotations"].pop("canary-controller.dev/rejected", None)
        parts["spec"].pop("paused", None)
    return parts


def find_leftovers(
    before: Sequence[Object], after: Sequence[Object], names: Sequence[str]
) -> list[str]:
    """Return what was not given back: objects that differ, and `names` of a canary's objects."""
    found = [f"{name} is left over" for name in names if name.endswith(CANARY)]
    for old, new in zip(before, after, strict=True):
        left, right = comparable(old), comparable(new)
        found += [
            f"{old['kind']} {NAME}: {part} was {left[part]}, is {right[part]}"
            for part in left
            if left[part] != right[part]
        ]
    return found
