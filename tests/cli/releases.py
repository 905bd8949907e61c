"""A CanaryRelease in every situation that people ask about."""

from typing import Any

import yaml

from canary.kube.objects import RELEASES, Object
from tests.kube.fake_cluster import FakeCluster

NOW = 1_800_000_000.0
"""2027-01-15 08:00:00 UTC."""
MANIFEST = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod, labels: {team: id}}
spec:
  target: {name: auth}
  traffic: {traefik: {traefikService: auth}}
  steps: [{weight: 5, duration: 2m}, {weight: 25, duration: 5m}, {weight: 50, duration: 5m, approval: true}]
  bake: 10m
  analysis:
    interval: 10s
    metrics:
    - {name: errors, ratio: {preset: traefik}}
    - {name: pool, pool: {preset: hikaricp}}
"""
SAYS = "canary fails 7.8× as often as stable (between 3.2× and 18.4×): 56 of 6,027 against 65 of 54,366."
ERRORS = {
    "name": "errors",
    "verdict": "Continue",
    "evidence": 12.4,
    "threshold": 100.0,
    "canaryTotal": 6027,
    "canaryBad": 56,
    "stableTotal": 54366,
    "stableBad": 65,
    "ratio": 7.8,
    "ratioLow": 0.9,
    "ratioHigh": 18.4,
    "message": "1,560 more requests are needed",
}
FAILED = ERRORS | {
    "verdict": "Fail",
    "reason": "WorseThanStable",
    "evidence": 812.0,
    "ratioLow": 3.2,
    "message": SAYS,
}
POOL = {
    "name": "pool",
    "verdict": "Pass",
    "evidence": 0.3,
    "threshold": 3.0,
    "message": "0.3 connections held beyond what traffic explains",
}
IN_FLIGHT = {
    "template": "f3a9c1d2e4b5",
    "startedAt": NOW - 400,
    "replicas": 4,
    "judgedFrom": NOW - 300,
    "confirmedAt": NOW - 100,
    "peakWeight": 25,
}
ENDED = {
    "template": "f3a9c1d2e4b5",
    "result": "RolledBack",
    "reason": "WorseThanStable",
    "message": f"errors: {SAYS}",
    "startedAt": NOW - 900,
    "endedAt": NOW - 300,
    "peakWeight": 25,
    "errorsServed": 56,
    "analysis": [FAILED],
    "canaryPods": ["auth-canary-6d5f8-abcde", "auth-canary-6d5f8-fghij"],
}
REST = {"observedGeneration": 1, "stableHash": "0a1b2c3d4e5f", "intent": "Rest"}
STEP = {
    **REST,
    "phase": "Progressing",
    "reason": "GatheringEvidence",
    "message": "errors: 1,560 more requests are needed",
    "intent": "Advance",
    "release": IN_FLIGHT,
    "step": 1,
    "currentStep": "2/3",
    "weight": 25,
    "stepStartedAt": NOW - 95,
    "judgedUntil": NOW - 3,
    "analysis": [ERRORS, POOL],
    "verdict": "Continue",
}
SITUATIONS: dict[str, dict[str, Any]] = {
    "pending": {"phase": "Pending", "reason": "TargetNotStable", "message": "The target is rolling."},
    "ready": {**REST, "phase": "Ready", "reason": "AtRest"},
    "preparing": {**STEP, "phase": "Preparing", "reason": "CanaryNotReady", "step": 0, "currentStep": "1/3", "weight": 0},
    "checking": {**STEP, "phase": "Checking", "reason": "ChecksRunning", "step": 0, "currentStep": "1/3", "weight": 0},
    "progressing": STEP,
    "approval": {**STEP, "phase": "WaitingForApproval", "reason": "ApprovalNeeded", "step": 2, "currentStep": "3/3", "weight": 50},
    "paused": {
        **STEP,
        "phase": "Paused",
        "reason": "NoData",
        "message": "errors: no request has reached the canary for 75 s",
        "release": {**IN_FLIGHT, "pause": {"reason": "NoData", "since": NOW - 60}},
    },
    "promoting": {**STEP, "phase": "Promoting", "reason": "RollingTarget", "intent": "Promote", "step": 2, "currentStep": "3/3", "weight": 100},
    "baking": {
        **STEP,
        "phase": "Baking",
        "reason": "Baking",
        "intent": "Bake",
        "currentStep": "",
        "weight": 0,
        "bakeStartedAt": NOW - 100,
        "release": {**IN_FLIGHT, "rolled": True},
    },
    "rolling back": {
        **STEP,
        "phase": "RollingBack",
        "reason": "WorseThanStable",
        "message": f"errors: {SAYS}",
        "intent": "RollBack",
        "currentStep": "",
        "weight": 0,
        "analysis": [FAILED, POOL],
        "verdict": "Fail",
        "release": {**IN_FLIGHT, "failed": "WorseThanStable"},
    },
    "rolled back": {
        **REST,
        "phase": "RolledBack",
        "reason": "WorseThanStable",
        "message": f"errors: {SAYS}",
        "rejectedHash": "f3a9c1d2e4b5",
        "verdict": "Fail",
        "history": [ENDED],
    },
    "promoted": {
        **REST,
        "phase": "Ready",
        "reason": "Promoted",
        "message": "The new version passed every step and is now stable.",
        "stableHash": "f3a9c1d2e4b5",
        "history": [{**ENDED, "result": "Promoted", "reason": "Promoted", "message": "", "peakWeight": 100, "analysis": [], "canaryPods": []}],
    },
    "terminating": {**REST, "phase": "Terminating", "reason": "Deleted"},
}  # fmt: skip


def build_release(situation: str = "ready", name: str = "auth", namespace: str = "prod") -> Object:
    """The object, as somebody would read it in this situation."""
    found: Object = yaml.safe_load(MANIFEST)
    found["metadata"] |= {"name": name, "namespace": namespace}
    return {**found, "status": SITUATIONS[situation]}


def store_release(
    cluster: FakeCluster, situation: str, name: str = "auth", namespace: str = "prod"
) -> Object:
    """Has the cluster have it."""
    return cluster.put(RELEASES, build_release(situation, name, namespace))
