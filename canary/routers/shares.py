"""Weights of the backends of one rule, and nothing else: whole numbers, exact shares.

With weights `s` of the user's backends and `o` of others, and `g` their greatest common divisor,
the canary at `p` percent is written as

    stable s/g·(100 − p)    canary s/g·p    others o/g·100

so the canary has exactly `p` percent of what stable and canary get together, and others keep
their share of the whole. A rule with one backend reads as plain percent.
"""

from dataclasses import dataclass
from math import gcd

WHOLE = 100
"""Percent."""


@dataclass(frozen=True, slots=True)
class Share:
    """The weights of one rule: of the user's backends for the Service, ours, and all others."""

    stable: tuple[int, ...]
    canary: tuple[int, ...] = ()
    others: tuple[int, ...] = ()

    @property
    def percent(self) -> int:
        """The canary's part of what both sides get, rounded up: what is not nothing is not 0."""
        canary = sum(self.canary)
        both = canary + sum(self.stable)
        return -(-WHOLE * canary // both) if both else 0

    def at(self, percent: int) -> "Share":
        """The weights that give the canary `percent` of what `stable` gets now."""
        divisor = gcd(*self.stable, *self.others) or 1
        stable = [weight // divisor for weight in self.stable]
        return Share(
            tuple(weight * (WHOLE - percent) for weight in stable),
            tuple(weight * percent for weight in stable),
            tuple(weight // divisor * WHOLE for weight in self.others),
        )

    def came_from(self, before: "Share") -> bool:
        """Whether only the split between the sides can differ from some `before.at(…)`."""
        same_sides = len(before.stable) == len(self.stable) == len(self.canary)
        return same_sides and self.others == before.at(0).others

    def without_canary(self) -> "Share":
        """What the user's backends get together with ours, for when nothing better is known."""
        if len(self.stable) == len(self.canary):
            both = tuple(s + c for s, c in zip(self.stable, self.canary, strict=True))
        else:
            both = tuple(s + sum(self.canary) * (not i) for i, s in enumerate(self.stable))
        return Share(both, (), self.others)
