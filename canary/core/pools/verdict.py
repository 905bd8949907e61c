"""Computes the verdict on the pools, with its figures, from the state of the detector.

Example with a window of 600 s: once the pools were read under traffic a step may pass. The
promotion may pass after 1,200 s under traffic, because a leak that began late in the first window
is only visible over a whole one. A pool that does not return 3.2 connections, where 3 are allowed,
keeps both from passing before the detector is sure enough to fail the canary.
"""

from dataclasses import dataclass

from canary.core.pools.detector import DetectorState, PoolFailure, PoolPolicy
from canary.core.pools.window import LeakRate, SlidingWindow, estimate_leak_rate
from canary.text.format import human_duration


@dataclass(frozen=True, slots=True)
class PoolAssessment:
    """The verdict on the pools; connections are numbers, times are seconds.

    `leak_connections` is the number that the worst canary pool does not return (None: too early to
    know); `requests_per_leak` and `empty_in` are None if nothing leaks or the rate is unknown.
    """

    failure: PoolFailure | None
    step_pass: bool
    final_pass: bool
    stable_unhealthy: bool
    leak_connections: float | None
    requests_per_leak: float | None
    empty_in: float | None
    evidence: float
    sentence: str

    @property
    def failed(self) -> bool:
        """Whether the canary failed; a failure stays."""
        return self.failure is not None


def assess_pools(state: DetectorState, policy: PoolPolicy) -> PoolAssessment:
    """Return the verdict. A failure stays; the two passes may change.

    A step passes if the pools were read under traffic and nothing looks wrong; promotion passes
    if, in addition, the window was covered twice under traffic.
    """
    worst = max(state.tracks, key=_unreturned_connections, default=None)
    lost = estimate_leak_rate(worst) if worst is not None and _is_leaking(worst, policy) else None
    # Anything that looks wrong now keeps the verdict from passing, long before it fails: `over`,
    # `waiting` and `leaking` count what has lasted too short a time so far.
    clean = (
        state.failure is None
        and not state.shared
        and lost is None
        and all(not (t.over or t.waiting or t.leaking) for t in state.tracks)
    )
    return PoolAssessment(
        failure=state.failure,
        step_pass=clean and state.covered > 0,
        final_pass=clean and state.covered >= 2 * policy.window,
        stable_unhealthy=state.shared,
        leak_connections=_unreturned_connections(worst)
        if worst is not None and worst.blocks
        else None,
        requests_per_leak=None if lost is None else lost.requests_per_leak,
        empty_in=None if lost is None else lost.empty_in,
        evidence=state.bet.evidence,
        sentence=_describe_pools(state, policy, worst, lost),
    )


def _unreturned_connections(track: SlidingWindow) -> float:
    look = track.estimate_leak(len(track.blocks))
    return look.residual if look else 0.0


def _is_leaking(track: SlidingWindow, policy: PoolPolicy) -> bool:
    return _unreturned_connections(track) > policy.leak_connections


def _describe_pools(
    state: DetectorState, policy: PoolPolicy, worst: SlidingWindow | None, lost: LeakRate | None
) -> str:
    if state.failure is not None:
        return state.failure.sentence
    if worst is None or not state.covered:
        return "no canary pool has been seen under traffic yet"
    if state.shared:
        return "stable's own pools are short of connections too, so the canary cannot be judged"
    if lost is not None:
        return f"{worst.name} {lost.sentence}"
    short = next((t for t in state.tracks if t.waiting or t.over or t.leaking), None)
    if short is not None:
        return f"{short.name} {_describe_suspicion(short)}"
    # Users wait at the fullest pool, however empty the others are.
    fullest = max(state.tracks, key=lambda t: t.in_use)
    of = f" of {fullest.maximum:.0f}" if fullest.maximum else ""
    left = max(2 * policy.window - state.covered, 0.0)
    more = (
        f"; {human_duration(left)} more under traffic to rule out a leak"
        if left
        else ", and no leak"
    )
    return f"at most {fullest.in_use:.0f}{of} connections in use{more}"


def _describe_suspicion(track: SlidingWindow) -> str:
    """Describe what is wrong with a pool for now; it fails if it stays so."""
    if track.waiting:
        return f"has had callers waiting for a connection for {human_duration(track.waiting)}"
    used = f"has {track.in_use:.0f} of {track.maximum:.0f} connections in use"
    if track.over:
        return f"{used}, above its limit"
    return f"{used} and may be leaking"
