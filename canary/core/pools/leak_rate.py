"""What a leaking pool means for people: how fast, and how long until nothing is left."""

from dataclasses import dataclass

from canary.core.pools.window import SlidingWindow
from canary.text.format import rough_duration


@dataclass(frozen=True, slots=True)
class LeakRate:
    """A pool's leak in words: requests per connection lost, seconds until it is empty."""

    requests_per_leak: float | None
    empty_in: float | None
    sentence: str


def estimate_leak_rate(track: SlidingWindow) -> LeakRate:
    """Estimates from the window; None and a shorter sentence where there is nothing to tell from.

    Time to exhaustion is (maximum − in use) / slope of the residual.
    """
    slope = track.slope()
    look = track.look(len(track.blocks))
    if slope <= 0 or look is None:
        held = look.residual if look else 0.0
        return LeakRate(None, None, f"holds {held:.1f} connections that it does not give back")
    per_leak = track.served / slope if track.served else None
    empty_in = max(track.maximum - track.in_use, 0.0) / slope if track.maximum else None
    what = "leaks 1 connection per "
    what += (
        f"{_round_to_two_digits(per_leak):,} requests"
        if per_leak
        else f"{rough_duration(1 / slope)}"
    )
    if empty_in is not None:
        what += f"; the pool of {track.maximum:.0f} is empty in {rough_duration(empty_in)}"
    return LeakRate(per_leak, empty_in, what)


def _round_to_two_digits(value: float) -> int:
    return max(int(float(f"{value:.2g}")), 1)
