"""Tests the canary's share of connections, for pools that do not export hold times.

If the canary serves a share p of the requests, it should have about that share of the connections
in use. For example, at 10 % of the requests up to 12.2 % of the connections are tolerated. With
25 % of them, minute after minute, the evidence reaches 100 after 12 minutes, with 15 % after 41;
with 12 % it never does.

The bets are those of the error ratios: they only use means (Waudby-Smith & Ramdas), and Ville's
inequality bounds the probability of ever reaching 1/α.
"""

from dataclasses import dataclass

STAKES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
# A version that holds connections up to a quarter longer is slower, which latency metrics judge.
_TOLERANCE = 1.25
_HORIZON = 240
"""Periods over which the mixture spreads the onset of a leak."""


@dataclass(frozen=True, slots=True)
class ShareBet:
    """The period in progress, and the capital of each stake.

    `wealth` starts at ½ and gains 1 / (2·horizon) before each bet, as the leak may begin in any
    period. A period is a minute, so that one slow moment does not count several times.
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
        """The e-process: it starts at 1, and without a leak its expectation does not grow."""
        reserve = max(0.5 - self.periods / (2 * _HORIZON), 0.0)
        return sum(self.wealth) / len(self.wealth) + reserve

    def add_sample(
        self,
        seconds: float,
        used: tuple[float, float],
        requests: tuple[float, float],
        period: float,
    ) -> "ShareBet":
        """Add one sample: connection-seconds and requests of (canary, stable)."""
        grown = ShareBet(
            self.seconds + seconds,
            self.canary + used[0],
            self.stable + used[1],
            self.canary_requests + requests[0],
            self.stable_requests + requests[1],
            self.periods,
            self.wealth,
        )
        return grown if grown.seconds < period else grown._place_bet()

    def _place_bet(self) -> "ShareBet":
        """Place the bet of the period; a period without requests or connections is void."""
        if not (self.canary_requests and self.stable_requests and self.canary + self.stable):
            return ShareBet(periods=self.periods, wealth=self.wealth)
        # Odds and not shares are multiplied, so that the share stays below 1: a canary at 90 % may
        # have 91.8 % of the connections, and not 112.5 %.
        odds = _TOLERANCE * self.canary_requests / self.stable_requests
        expected = odds / (1 + odds)
        excess = self.canary / (self.canary + self.stable) / expected - 1
        gain = 1 / (2 * _HORIZON) if self.periods < _HORIZON else 0.0
        wealth = tuple(
            min((w + gain) * (1 + f * excess), 1e15)
            for w, f in zip(self.wealth, STAKES, strict=True)
        )
        return ShareBet(periods=self.periods + 1, wealth=wealth)
