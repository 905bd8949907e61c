"""A good release is not held for ever, and a release that waits says what it waits for.

The quick start's times and traffic (docs/quickstart.md): a good version takes a few minutes.
"""

import re
from dataclasses import replace
from itertools import product

import pytest

from canary.api import Phase, Reason, Verdict, load_release
from canary.core.analysis import AnalysisInput
from canary.core.analysis.pool import build_pool_result
from canary.core.analysis.ratio import build_ratio_result
from canary.core.analysis.result import AnalysisResult, combine_metrics
from canary.core.evidence import EvidenceState, RatioPolicy, assess_evidence
from canary.core.pools.detector import DetectorState, PoolPolicy
from canary.core.pools.verdict import assess_pools
from canary.core.rollout import decide
from tests.core.test_rollout import CANARY, IN_STEP, NOW, spec_with
from tests.core.test_rollout import snapshot as build_snapshot
from tests.in_memory_world import InMemoryWorld, SimulatedVersion

QUICK_START = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth, namespace: prod}
spec:
  target: {name: auth}
  traffic: {traefik: {traefikService: auth}, propagationDelay: 2s}
  steps:
  - {weight: 5, duration: 10s}
  - {weight: 20, duration: 10s}
  - {weight: 50, duration: 10s}
  bake: 1m
  deadline: 10m
  progressDeadline: 60s
  analysis:
    interval: 5s
    warmUp: 5s
    minDuration: 30s
    smallestRegression: 0.02
    metrics:
    - {name: errors, ratio: {total: http_requests_total, bad: 'http_requests_total{code="500"}'}}
"""
ALL_AT_ONCE = QUICK_START.replace("- {weight: 5, duration: 10s}\n  - {weight: 20, duration: 10s}\n  ", "").replace(
    "weight: 50, duration: 10s", "weight: 100, duration: 30s"
).replace("minDuration: 30s", "minDuration: 20m").replace("deadline: 10m", "deadline: 2h")  # fmt: skip


def start(manifest: str, rps: float = 50.0) -> InMemoryWorld:
    """The service of the quick start, without an error so far."""
    spec = load_release(manifest, "tests").spec
    fine = {name: SimulatedVersion(errors=0.0) for name in ("v1", "v2", "v3")}
    memory = InMemoryWorld(spec=spec, rps=rps, replicas=3, versions=fine)
    memory.run(30, until=Phase.READY)
    memory.tick(60)
    return memory


def have_incidents(memory: InMemoryWorld, *, lengths: tuple[int, ...], rate: float) -> None:
    """Stable fails so many seconds long, once per number, a minute apart."""
    for seconds in lengths:
        memory.versions["v1"].errors = rate
        memory.tick(seconds)
        memory.versions["v1"].errors = 0.0
        memory.tick(60)


def follow(memory: InMemoryWorld, template: str, limit: float) -> float:
    """Seconds until the release has ended or waits; at each pass it says what it waits for."""
    memory.deploy(template)
    memory.step()
    began = memory.time
    while memory.status.phase not in {Phase.READY, Phase.ROLLED_BACK, Phase.PAUSED}:
        memory.step()
        status = memory.status
        if status.reason is Reason.GATHERING_EVIDENCE:
            assert status.verdict is not Verdict.PASS
            assert {one.verdict for one in status.analysis} != {Verdict.PASS}
            assert re.search("needs at least|no request has reached|next requests", status.message)
        if memory.time - began > limit:
            break
    return memory.time - began


@pytest.mark.parametrize(
    ("lengths", "rate"),
    [
        pytest.param((), 0.0, id="none"),
        pytest.param((1,), 0.3, id="16 errors within a second"),
        pytest.param((10,), 0.02, id="a burst over two scrapes"),
        pytest.param((20,), 1.0, id="20 s of total outage"),
        pytest.param((1, 1), 0.4, id="twice 20 errors within a second"),
        pytest.param((2, 2, 2, 2), 0.4, id="four times 40 errors"),
    ],
)
def test_the_good_version_of_the_quick_start_is_promoted_in_its_time(
    lengths: tuple[int, ...], rate: float
) -> None:
    """Whatever stable's last hour was: eight minutes at most, and half of that after two bursts."""
    memory = start(QUICK_START)
    have_incidents(memory, lengths=lengths, rate=rate)
    took = follow(memory, "v2", 600)
    assert (memory.status.phase, memory.status.reason) == (Phase.READY, Reason.PROMOTED)
    assert took <= (240 if len(lengths) < 3 else 420)


def test_the_version_after_a_rollback_is_promoted_as_quickly() -> None:
    """Errors of the canary before are none of stable's, nor of the next canary's."""
    memory = start(QUICK_START)
    memory.versions["v2"].errors = 0.5
    follow(memory, "v2", 600)
    assert memory.status.phase is Phase.ROLLED_BACK
    took = follow(memory, "v3", 600)
    assert memory.status.reason is Reason.PROMOTED
    assert took <= 240


def test_a_step_with_all_of_the_traffic_is_promoted() -> None:
    """Stable has no requests any more: the default of 20 minutes is longer than its last ten."""
    memory = start(ALL_AT_ONCE)
    took = follow(memory, "v2", 3600)
    assert memory.status.reason is Reason.PROMOTED
    assert 1200 <= took <= 1500


def test_a_release_with_too_little_traffic_says_how_many_requests_it_lacks() -> None:
    """At its deadline as well: what a person reads then is why it waited."""
    memory = start(QUICK_START, rps=2.0)
    follow(memory, "v2", 700)
    assert (memory.status.phase, memory.status.reason) == (Phase.PAUSED, Reason.DEADLINE_EXCEEDED)
    wanted = (
        r"The release did not end within 10 min\. It waited with the reason GatheringEvidence: "
        r"errors: .* needs at least [0-9,]+ more good canary requests to exclude"
    )
    assert re.match(wanted, memory.status.message), memory.status.message


RATIO, POOL = load_release(
    QUICK_START.rstrip() + "\n    - {name: pool, pool: {preset: hikaricp}}\n", "tests"
).spec.analysis.metrics


def judge_metrics(ratio: tuple[bool, bool], pool: tuple[bool, bool], given: AnalysisInput) -> AnalysisResult:  # fmt: skip
    """The analysis of two metrics; each passes its step, and its promotion, or not."""
    requests = assess_evidence(EvidenceState(), RatioPolicy())
    requests = replace(
        requests,
        step_pass=ratio[0],
        final_pass=ratio[1],
        step_missing="" if ratio[0] else "needs at least 7 more canary requests",
        final_missing="" if ratio[1] else "needs at least 9 more canary requests",
    )
    connections = assess_pools(DetectorState(), PoolPolicy())
    connections = replace(connections, step_pass=pool[0], final_pass=pool[1])
    found = [
        build_ratio_result(RATIO, requests, given, NOW),
        build_pool_result(POOL, connections, given),
    ]
    return combine_metrics(given, found)


PASSES = [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize(("ratio", "pool"), list(product(PASSES, PASSES)))
def test_evidence_is_awaited_only_while_a_metric_shows_that_it_lacks_some(
    step: int, ratio: tuple[bool, bool], pool: tuple[bool, bool]
) -> None:
    """All combinations: another step takes the first verdict of each metric, promotion both."""
    analysis = spec_with().analysis.model_copy(update={"metrics": (RATIO, POOL)})
    given = AnalysisInput(analysis, NOW, NOW - 100, promotion_next=step == 2)
    judged = judge_metrics(ratio, pool, given)
    status = IN_STEP.model_copy(update={"step": step, "weight": (5, 25, 50)[step]})
    after = decide(build_snapshot(status, canary=CANARY), judged).status
    needed = [one[1] if step == 2 else one[0] for one in (ratio, pool)]
    waits = after.reason is Reason.GATHERING_EVIDENCE
    assert waits is not all(needed)
    assert [one.verdict is Verdict.PASS for one in after.analysis] == needed
    if waits:
        lacking = [one.message for one in after.analysis if one.verdict is not Verdict.PASS]
        assert any(message in after.message for message in lacking)
        assert after.verdict is Verdict.CONTINUE
