"""Computes the weights of one rule's backends as integers with exact shares. Pure.

With weights `s` of the user's backends and `o` of others, and `g` their greatest common divisor,
the canary at `p` percent is written as

    stable s/g·(100 − p)    canary s/g·p    others o/g·100

so the canary has exactly `p` percent of what stable and canary get together, and others keep
their share of the whole. With a single backend, weights are percentages. For routers that drop
backends of weight 0, `traced` replaces 0 by a minimal weight: 999,999 and 1.
"""

from dataclasses import dataclass
from math import gcd

FULL_PERCENT = 100
"""100 percent."""
TRACE_RATIO = 100_000
"""A share of at most one request in this many is minimal and is read as 0."""


@dataclass(frozen=True, slots=True)
class WeightSplit:
    """Weights of a rule: the user's backends for the Service, the canary's, and all others."""

    stable: tuple[int, ...]
    canary: tuple[int, ...] = ()
    others: tuple[int, ...] = ()

    @property
    def percent(self) -> int:
        """Return the canary's percentage, rounded up: 0 only for a minimal weight."""
        canary = sum(self.canary)
        both = canary + sum(self.stable)
        return -(-FULL_PERCENT * canary // both) if canary * TRACE_RATIO > both else 0

    def with_percent(self, percent: int) -> "WeightSplit":
        """Return the weights that give the canary `percent` of what `stable` gets now."""
        divisor = gcd(*self.stable, *self.others) or 1
        stable = [weight // divisor for weight in self.stable]
        return WeightSplit(
            tuple(weight * (FULL_PERCENT - percent) for weight in stable),
            tuple(weight * percent for weight in stable),
            tuple(weight // divisor * FULL_PERCENT for weight in self.others),
        )

    def with_trace(self, most: int) -> "WeightSplit":
        """Return these weights with a minimal weight instead of 0; `most` is the largest allowed.

        Unchanged if neither side has 0, or if so small a share cannot be written.
        """
        pairs = list(zip(self.stable, self.canary, strict=True))
        scale = most // max(*self.stable, *self.canary, *self.others, 1)
        empty = [sum(pair) for pair in pairs if sum(pair) and not all(pair)]
        if not empty or min(empty) * scale < TRACE_RATIO:
            return self
        traced = [_add_trace(stable * scale, canary * scale) for stable, canary in pairs]
        return WeightSplit(
            tuple(stable for stable, _ in traced),
            tuple(canary for _, canary in traced),
            tuple(weight * scale for weight in self.others),
        )

    def without_canary(self) -> "WeightSplit":
        """Return weights without the canary, whose share goes to the user's backends."""
        if len(self.stable) == len(self.canary):
            both = tuple(s + c for s, c in zip(self.stable, self.canary, strict=True))
        else:
            both = tuple(s + sum(self.canary) * (not i) for i, s in enumerate(self.stable))
        return WeightSplit(both, (), self.others)


def _add_trace(stable: int, canary: int) -> tuple[int, int]:
    if stable and not canary:
        return stable - 1, 1
    return (1, canary - 1) if canary and not stable else (stable, canary)
