"""A bet on shares, for pools that do not export how long connections are held.

When the canary serves a share p of the requests, it should have no more than about that share of
the connections in use. The bets are those of the judge of error ratios: only means matter
(Waudby-Smith & Ramdas), and Ville's inequality bounds the chance of ever reaching 1/α.
"""

from dataclasses import dataclass

STAKES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
_TOLERANCE = 1.25
_HORIZON = 240
"""Periods over which the onset of a leak is spread."""


@dataclass(frozen=True, slots=True)
class ShareBet:
    """One period under way, and the capital of each stake.

    `wealth` starts at ½ and gains 1 / (2·horizon) before each bet: the mixture over the moment at
    which the leak begins. A period is a minute, so that one slow moment is not counted often.
    """

    seconds: float = 0.0
    canary: float = 0.0
    stable: float = 0.0
    canary_requests: float = 0.0
    stable_requests: float = 0.0
    periods: int = 0
    wealth: tuple[float, ...] = (0.5,) * len(STAKES)

    @property
    def evidence(self) -> float:
        """The e-process: under "no leak" it is never expected to grow, from 1."""
        reserve = max(0.5 - self.periods / (2 * _HORIZON), 0.0)
        return sum(self.wealth) / len(self.wealth) + reserve

    def plus(
        self,
        seconds: float,
        used: tuple[float, float],
        requests: tuple[float, float],
        period: float,
    ) -> "ShareBet":
        """With one more sample: connection-seconds and requests of (canary, stable)."""
        grown = ShareBet(
            self.seconds + seconds,
            self.canary + used[0],
            self.stable + used[1],
            self.canary_requests + requests[0],
            self.stable_requests + requests[1],
            self.periods,
            self.wealth,
        )
        return grown if grown.seconds < period else grown._settled()

    def _settled(self) -> "ShareBet":
        """After a bet; a period without requests of both sides, or connections in use, is void."""
        if not (self.canary_requests and self.stable_requests and self.canary + self.stable):
            return ShareBet(periods=self.periods, wealth=self.wealth)
        odds = _TOLERANCE * self.canary_requests / self.stable_requests
        expected = odds / (1 + odds)
        excess = self.canary / (self.canary + self.stable) / expected - 1
        gain = 1 / (2 * _HORIZON) if self.periods < _HORIZON else 0.0
        wealth = tuple(
            min((w + gain) * (1 + f * excess), 1e15)
            for w, f in zip(self.wealth, STAKES, strict=True)
        )
        return ShareBet(periods=self.periods + 1, wealth=wealth)
