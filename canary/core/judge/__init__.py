"""judge: a pure fold over what was sampled since the last pass, and one verdict for the release.

Live, after a restart, after an outage of the monitoring system and on history it is the same fold
over a range that starts where the last one ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from canary.api import Metric, Reason, Verdict
from canary.core.evidence import family_evidence, guilty
from canary.core.increments import Side, Tick
from canary.core.judge.own import judge_own
from canary.core.judge.pool import judge_pool
from canary.core.judge.ratio import judge_ratio
from canary.core.judge.scene import Judged, Scene, scene_of
from canary.core.judge.share import Share
from canary.core.judgement import UNJUDGED, Judgement
from canary.core.series import NoData, Unavailable
from canary.core.snapshot import PoolSamples, RatioSamples, Samples, Snapshot

LEAST_BAD = 5.0
"""So many bad requests at least, before several metrics together fail a canary."""
WORST_FIRST = (
    Verdict.FAIL,
    Verdict.UNAVAILABLE,
    Verdict.NO_DATA,
    Verdict.CONTINUE,
    Verdict.PASS,
)


def judge(snap: Snapshot) -> Judgement:
    """What the metrics say of this release now, with the state for the next pass."""
    scene = scene_of(snap)
    if scene is None:
        return UNJUDGED
    kept: Mapping[str, Any] = snap.wish.status.judge or {}
    judged = _metrics(snap, kept, scene)
    failed, reason, message = _failure(judged, scene)
    share = _share(snap, kept, judged)
    step, final = (_worst(judged, failed=failed, final=final) for final in (False, True))
    return Judgement(
        step=step,
        final=final,
        reason=reason,
        message=message or _waiting_for(judged, final=step is Verdict.PASS),
        stable_unhealthy=any(one.stable_unhealthy for one in judged),
        not_shifted=share.contradicts,
        canary_busy=_busy(judged),
        until=_until(judged),
        metrics=tuple(one.status for one in judged),
        state={one.status.name: dict(one.state) for one in judged} | {"": list(astuple(share))},
    )


def _metrics(snap: Snapshot, kept: Mapping[str, Any], scene: Scene) -> list[Judged]:
    """Ratios first: pools are told how many requests there were."""
    found: dict[str, Judged] = {}
    requests: Sequence[Tick] = ()
    for metric in sorted(scene.analysis.metrics, key=lambda metric: metric.ratio is None):
        judged = _one(metric, snap.samples, kept.get(metric.name, {}), scene, requests)
        requests = requests or judged.ticks
        found[metric.name] = judged
    return [found[metric.name] for metric in scene.analysis.metrics]


def _one(
    metric: Metric,
    samples: Samples | None,
    before: Mapping[str, Any],
    scene: Scene,
    requests: Sequence[Tick],
) -> Judged:
    mine = samples.by_metric.get(metric.name) if samples else None
    if metric.ratio is not None:
        if isinstance(mine, NoData | Unavailable):
            mine = RatioSamples(mine, mine, "", _nobody)
        ratio = (samples, mine) if samples and isinstance(mine, RatioSamples) else None
        return judge_ratio(metric, ratio, before, scene)
    if metric.pool is not None:
        if isinstance(mine, NoData | Unavailable):
            mine = PoolSamples(mine, mine, None, None, None, 1.0, "", _nobody)
        pool = (samples, mine) if samples and isinstance(mine, PoolSamples) else None
        return judge_pool(metric, pool, before, scene, requests)
    if isinstance(mine, RatioSamples | PoolSamples) or samples is None or mine is None:
        return judge_own(metric, None, before)
    return judge_own(metric, (samples, mine), before)


def _nobody(_value: str) -> None:
    """A metric that could not be asked for has no groups of either side."""


def _failure(judged: list[Judged], scene: Scene) -> tuple[bool, Reason | None, str]:
    """A metric that failed by itself, or the ratio metrics together; e-BH names the guilty."""
    for one in judged:
        if one.step is Verdict.FAIL:
            return True, one.status.reason, f"{one.status.name}: {one.status.message}"
    ratios = {one.status.name: one for one in judged if one.ticks or one.bad}
    if len(ratios) < 2 or max(one.bad for one in ratios.values()) < LEAST_BAD:  # noqa: PLR2004 - several
        return False, None, ""
    evidence = {name: one.status.evidence for name, one in ratios.items()}
    alpha = scene.analysis.false_alarm
    if family_evidence(tuple(evidence.values())) < 1 / alpha:
        return False, None, ""
    names = guilty(evidence, alpha) or (max(evidence, key=lambda name: evidence[name]),)
    worst = ratios[names[0]].status
    return True, Reason.WORSE_THAN_STABLE, f"{', '.join(names)}: {worst.message}"


def _worst(judged: list[Judged], *, failed: bool, final: bool) -> Verdict:
    if failed:
        return Verdict.FAIL
    verdicts = {one.final if final else one.step for one in judged}
    return next(verdict for verdict in WORST_FIRST if verdict in verdicts)


def _waiting_for(judged: list[Judged], *, final: bool) -> str:
    """The sentence of the metric that is furthest from Pass."""
    last = max(judged, key=lambda one: -WORST_FIRST.index(one.final if final else one.step))
    return f"{last.status.name}: {last.status.message}"


def _until(judged: list[Judged]) -> float | None:
    """Up to where every metric is judged: one that was silent so far keeps the whole range."""
    times = [one.state["until"] for one in judged]
    return None if None in times else min(times)


def _share(snap: Snapshot, kept: Mapping[str, Any], judged: list[Judged]) -> Share:
    """Counted while the router has confirmed the present weight for long enough."""
    share = Share(*kept.get("", ()))
    started = snap.wish.status.step_started_at
    if started is None or snap.route is None:
        return Share()
    counted = next((one.ticks for one in judged if one.ticks), ())
    for tick in counted:
        if tick.start >= started:
            requests = tick.total(Side.CANARY), tick.total(Side.STABLE)
            share = share.add(snap.route.weight, *requests)
    return share


def _busy(judged: list[Judged]) -> bool:
    """Requests reached the canary in the last interval that was seen: until one is seen without.

    A monitoring system that is silent cannot be waited for; the settle time is over by then.
    """
    return any(
        one.state.get("seen") is not None
        and one.state["quiet"] is None
        and one.state["seen"] >= one.state["until"]
        for one in judged
    )
