"""Detects connection leaks and full pools of the canary.

Little's law (Little 1961): connections in use = rate × hold time. So, over a window,
`average in use − hold time returned per second` is the number held and not returned; throughput
cancels, so a surge of traffic does not show. Example, in a window of 60 s:

    in use on average 12, returned 540 connection-seconds -> 12 − 540 / 60 = 3 are not returned
    twice the traffic: 21 in use, returned 1080           -> 21 − 1080 / 60 = 3 as before

The window is at least twice the longest legitimate hold. Saturation is judged per pod, never
averaged: one leaking pod in ten would hide.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import variance

from canary.core.increments import Side
from canary.core.pools.samples import PoolReading, PoolSample
from canary.core.pools.share_test import ShareBet
from canary.core.pools.window import (
    BLOCKS,
    SHORT,
    SlidingWindow,
    WindowEstimate,
    estimate_leak_rate,
)
from canary.text.format import human_duration

_MINUTE = 60.0
_LEAST_LOOK = 10.0
"""Minimum seconds of a window. In a shorter one a pause of the process looks like a leak."""


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """When a pool fails the canary; `limit` is a share of 0–1, times are in seconds.

    `window` is at least twice the longest legitimate hold of a connection. A leak is more than
    `leak_connections`, and more than `noise` standard errors (`short_noise` in a short look, where
    the few samples have heavier tails).
    """

    limit: float = 0.75
    leak_connections: float = 3.0
    window: float = 600.0
    warm_up: float = 60.0
    false_positive_rate: float = 0.01
    # There is a new estimate per block and pool: 4 standard errors of a normal number are exceeded
    # by chance once in 30,000 estimates, which is 10 days of one pool at 30 s per block.
    noise: float = 4.0
    short_noise: float = 6.0

    @property
    def sustained(self) -> float:
        """Minimum duration of a leak (seconds): a minute in a long window."""
        return min(_MINUTE, self.window / 10)

    @property
    def waiting_too_long(self) -> float:
        """Longest time (seconds) that callers may wait; on a busy machine some do."""
        return max(self.sustained, _LEAST_LOOK)


@dataclass(frozen=True, slots=True)
class PoolFailure:
    """Why the canary failed, and when (seconds).

    `reason` is PoolSaturated, PoolExhausted, ConnectionLeak or ConnectionsWaiting.
    """

    reason: str
    at: float
    sentence: str


@dataclass(frozen=True, slots=True)
class DetectorState:
    """State of the fold: a window per canary pool, and one for stable's average pod.

    `covered` is the time under traffic after warm-up (seconds); `unheard` is the time since the
    last sample with traffic (read more often than scraped, most samples have none). `shared` is
    true if stable's own pools were above the limit, or had waiting callers, in the last sample.
    """

    tracks: tuple[SlidingWindow, ...] = ()
    stable: SlidingWindow = field(default_factory=lambda: SlidingWindow("stable", first=0.0))
    bet: ShareBet = field(default_factory=ShareBet)
    covered: float = 0.0
    shared: bool = False
    failure: PoolFailure | None = None
    unheard: float = 0.0


def fold_samples(
    state: DetectorState, policy: PoolPolicy, samples: Iterable[PoolSample]
) -> DetectorState:
    """Return the state after these samples; the result is the same in one go and in pieces."""
    for sample in samples:
        state = _fold_sample(state, policy, sample)
    return state


def _fold_sample(state: DetectorState, policy: PoolPolicy, sample: PoolSample) -> DetectorState:
    canary = [r for r in sample.readings if r.side is Side.CANARY]
    stable = [r for r in sample.readings if r.side is Side.STABLE]
    shared = any(_is_saturated(r, policy) or _has_waiters(r) for r in stable)
    calm = _add_stable(state.stable, stable, sample.stable_requests, policy)
    known = {t.name: t for t in state.tracks}
    tracks = [known.get(r.pod, SlidingWindow(r.pod, first=sample.time)) for r in canary]
    # A pool that opens its connections in the warm-up rises as a leak does, so those readings are
    # left out; `first` is kept, so the warm-up of each pod runs on its own.
    warm = [
        (track, r)
        for track, r in zip(tracks, canary, strict=True)
        if sample.time - track.first >= policy.warm_up
    ]
    # Requests are counted per side and not per pod; the router spreads them evenly enough.
    requests = sample.canary_requests / len(canary) if canary else 0.0
    fresh = {t.name: t for t in tracks} | {
        t.name: _count_shortage(
            _add_reading(t, calm, r, policy, requests), r, policy, shared=shared
        )
        for t, r in warm
    }
    served = sample.canary_requests > 0 or any(r.held for _, r in warm)
    seconds = max((r.seconds for _, r in warm), default=0.0)
    fresh = {name: replace(t, last=sample.time) for name, t in fresh.items()}
    # A pod that has been gone for a window says nothing any more. A crash loop gives every attempt
    # a new name, and the state in the status must not grow with them.
    recent = sample.time - policy.window
    # Samples between two scrapes have no requests, yet their time counts once the next scrape has
    # some; at most a minute of it, because nobody knows what a longer gap held.
    after = replace(
        state,
        tracks=tuple(t for t in (known | fresh).values() if t.last >= recent),
        stable=calm,
        bet=_update_bet(state.bet, [r for _, r in warm], stable, sample, policy),
        covered=state.covered + (min(state.unheard, _MINUTE) + seconds if served else 0.0),
        shared=shared,
        unheard=0.0 if served else state.unheard + seconds,
    )
    return after if state.failure or not warm else _latch_failure(after, policy, sample.time, fresh)


def _add_stable(
    calm: SlidingWindow, readings: Sequence[PoolReading], requests: float, policy: PoolPolicy
) -> SlidingWindow:
    """Add the average of stable's pods, because they only show what load does to any pod.

    The canary's are not averaged: one leaking pod in ten would be a tenth of its size.
    """
    if not readings:
        return calm
    return calm.add_reading(
        _average_readings(readings),
        requests / len(readings),
        policy.window / BLOCKS,
        _variance_between_pods(readings),
    )


def _add_reading(
    track: SlidingWindow,
    stable: SlidingWindow,
    reading: PoolReading,
    policy: PoolPolicy,
    requests: float,
) -> SlidingWindow:
    grown = track.add_reading(reading, requests, policy.window / BLOCKS)
    # Estimates only change when a block closes. In between the time counted so far is kept.
    leaking = grown.leaking
    if grown.closed:
        leaks = _leaks_over_window(grown, stable, policy) or _leaks_fast(grown, stable, policy)
        leaking = grown.leaking + grown.blocks[-1].seconds if leaks else 0.0
    return replace(grown, leaking=leaking)


def _count_shortage(
    track: SlidingWindow, reading: PoolReading, policy: PoolPolicy, *, shared: bool
) -> SlidingWindow:
    """Return the window with how long its pool has been full, and its callers waiting.

    A shortage that stable shares says nothing about the canary, so such a sample counts neither for
    nor against it. Example, 5 s per sample, callers of both wait for 25 s, the canary's for 5 s
    more: 5 s of waiting count, not 30 s.
    """
    return replace(
        track,
        over=track.over + (not shared) if _is_saturated(reading, policy) else 0,
        waiting=track.waiting + reading.seconds * (not shared) if _has_waiters(reading) else 0.0,
    )


def _leaks_over_window(track: SlidingWindow, stable: SlidingWindow, policy: PoolPolicy) -> bool:
    """Return whether the pool leaks over the window, or over at least half of it.

    A leaked connection is in use in every later sample: a pool that came down to few connections in
    the newest quarter of the window has not lost more than those.
    """
    count = len(track.blocks)
    # Half a window is enough: it is as long as the longest legitimate hold (see `PoolPolicy`).
    mine = track.estimate_leak(count) if count >= BLOCKS // 2 else None
    if mine is None or track.lowest_in_use(BLOCKS // 4) <= policy.leak_connections:
        return False
    return _exceeds_noise(mine, stable.estimate_leak(count), policy, policy.noise)


def _leaks_fast(track: SlidingWindow, stable: SlidingWindow, policy: PoolPolicy) -> bool:
    """Return whether the pool leaks so fast that it is full within four more short stretches."""
    if not track.maximum:
        return False
    # A pool of 10 that loses a connection every 20 s is full long before half a window of 600 s
    # has passed. The price of a short look is a larger error, hence `short_noise`.
    room = policy.limit * track.maximum - track.in_use
    for count in SHORT:
        new, old = track.estimate_leak(count), track.estimate_leak(count, count)
        if new is None or old is None:
            break
        if new.seconds < _LEAST_LOOK or track.lowest_in_use(count) <= policy.leak_connections:
            continue
        pace = (new.residual - old.residual) / ((new.seconds + old.seconds) / 2)
        urgent = room < 4 * new.seconds * pace
        if urgent and _exceeds_noise(new, stable.estimate_leak(count), policy, policy.short_noise):
            return True
    return False


def _exceeds_noise(
    mine: WindowEstimate, stable: WindowEstimate | None, policy: PoolPolicy, noise: float
) -> bool:
    # What stable holds as well is the service's way of working (a job with a connection of its
    # own). A negative residual of stable is noise and must not count against the canary.
    error = max(mine.error, stable.error if stable else 0.0)
    bound = max(policy.leak_connections, noise * error)
    return mine.residual - max(stable.residual if stable else 0.0, 0.0) > bound


def _latch_failure(
    state: DetectorState, policy: PoolPolicy, time: float, fresh: Mapping[str, SlidingWindow]
) -> DetectorState:
    """Return the state with the first failure, if any; not for trouble that stable shares."""
    # A full pool comes first: it is the harm itself, whatever caused it. The share test comes last,
    # because it knows least: it only runs where hold times are not exported.
    for track in fresh.values():
        if track.over >= 2 and not state.shared:  # noqa: PLR2004  # one sample may be chance
            return _build_failure(state, track, time, *_describe_full_pool(track))
        if track.leaking >= policy.sustained:
            return _build_failure(
                state, track, time, "ConnectionLeak", estimate_leak_rate(track).sentence
            )
        if track.waiting >= policy.waiting_too_long and not state.shared:
            return _build_failure(
                state,
                track,
                time,
                "ConnectionsWaiting",
                f"callers have been waiting for a connection for {human_duration(track.waiting)}",
            )
        if _hoards_connections(state, track, policy):
            return _build_failure(
                state,
                track,
                time,
                "ConnectionLeak",
                "holds a growing excess of connections over its share of requests",
            )
    return state


def _build_failure(
    state: DetectorState, track: SlidingWindow, time: float, reason: str, what: str
) -> DetectorState:
    return replace(state, failure=PoolFailure(reason, time, f"{track.name} {what}"))


def _describe_full_pool(track: SlidingWindow) -> tuple[str, str]:
    used = f"has {track.in_use:.0f} of {track.maximum:.0f} connections in use"
    return ("PoolExhausted" if track.in_use >= track.maximum else "PoolSaturated"), used


def _is_saturated(reading: PoolReading, policy: PoolPolicy) -> bool:
    return reading.maximum is not None and reading.in_use > policy.limit * reading.maximum


def _has_waiters(reading: PoolReading) -> bool:
    return bool(reading.waiting) or bool(reading.timeouts)


def _average_readings(readings: Sequence[PoolReading]) -> PoolReading:
    """Return the reading of stable's average pod."""
    count = len(readings)
    held = [r.held for r in readings if r.held is not None]
    return PoolReading(
        "stable",
        Side.STABLE,
        seconds=sum(r.seconds for r in readings) / count,
        in_use=sum(r.in_use * r.seconds for r in readings) / sum(r.seconds for r in readings),
        held=sum(held) / count if len(held) == count else None,
    )


def _variance_between_pods(readings: Sequence[PoolReading]) -> float:
    """Return the variance between stable's pods of unreturned connection-seconds."""
    kept = [r.in_use * r.seconds - r.held for r in readings if r.held is not None]
    return variance(kept) if len(kept) > 1 else 0.0


def _update_bet(
    bet: ShareBet,
    canary: Sequence[PoolReading],
    stable: Sequence[PoolReading],
    sample: PoolSample,
    policy: PoolPolicy,
) -> ShareBet:
    """Update the share bet; only if hold times, which are more exact, are not exported."""
    if not canary or not stable or any(r.held is not None for r in canary):
        return bet
    used = tuple(sum(r.in_use * r.seconds for r in side) for side in (canary, stable))
    return bet.add_sample(
        max(r.seconds for r in canary),
        (used[0], used[1]),
        (sample.canary_requests, sample.stable_requests),
        policy.sustained,
    )


def _hoards_connections(state: DetectorState, track: SlidingWindow, policy: PoolPolicy) -> bool:
    # More connections than its share may be a slower version. Only a leak also raises the floor: a
    # lost connection is in use even in the quietest moment.
    half = BLOCKS // 2
    rise = track.lowest_in_use(half) - track.lowest_in_use(half, half)
    full = len(track.blocks) == BLOCKS
    return (
        full
        and state.bet.evidence >= 1 / policy.false_positive_rate
        and rise >= policy.leak_connections / 2
    )
