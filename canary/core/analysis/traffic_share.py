"""Does the traffic follow the weight? A canary that gets none looks perfect."""

from dataclasses import dataclass

ENOUGH = 30.0
"""Requests that the weight should have brought the canary before its absence means something."""
FAR_OFF = 10.0
"""So many times too few, or one third of that too many, is no longer chance."""


@dataclass(frozen=True, slots=True)
class TrafficShare:
    """Requests of both sides since the present weight was confirmed."""

    weight: int = 0
    canary: float = 0.0
    stable: float = 0.0

    def add(self, weight: int, canary: float, stable: float) -> "TrafficShare":
        """The same with more requests; another weight starts anew."""
        if weight != self.weight:
            return TrafficShare(weight, canary, stable)
        return TrafficShare(weight, self.canary + canary, self.stable + stable)

    @property
    def contradicts(self) -> bool:
        """The canary got far less, or far more, than the weight (percent) says."""
        every = self.canary + self.stable
        meant = every * self.weight / 100
        too_few = meant >= ENOUGH and self.canary < meant / FAR_OFF
        # More than meant is seen only while stable should have had most of it.
        too_many = self.canary > ENOUGH and self.canary > FAR_OFF / 3 * max(meant, 1.0)
        return self.weight > 0 and (too_few or too_many)
