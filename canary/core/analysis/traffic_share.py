"""Checks that the traffic follows the weight: a canary without requests has no errors."""

from dataclasses import dataclass

ENOUGH = 30.0
"""Minimum number of expected canary requests; with fewer, their absence is no evidence."""
FAR_OFF = 10.0
"""The traffic contradicts the weight if the canary gets less than 1/10 of the expected requests.

Or more than 10/3 of them.
"""


@dataclass(frozen=True, slots=True)
class TrafficShare:
    """Requests of both versions since the router confirmed the current weight."""

    weight: int = 0
    canary: float = 0.0
    stable: float = 0.0

    def add(self, weight: int, canary: float, stable: float) -> "TrafficShare":
        """Return the share with more requests; another weight starts again at zero."""
        if weight != self.weight:
            return TrafficShare(weight, canary, stable)
        return TrafficShare(weight, self.canary + canary, self.stable + stable)

    @property
    def contradicts(self) -> bool:
        """Whether the canary got far fewer or far more requests than its weight (percent)."""
        every = self.canary + self.stable
        meant = every * self.weight / 100
        too_few = meant >= ENOUGH and self.canary < meant / FAR_OFF
        # A surplus is only visible while stable should have had most requests.
        too_many = self.canary > ENOUGH and self.canary > FAR_OFF / 3 * max(meant, 1.0)
        return self.weight > 0 and (too_few or too_many)
