"""The size of each bet (the share of its wealth that it stakes), and what follows from it."""

import math

MOST = 1e15
"""Wealth and evidence are cut here: beyond it nothing changes any more."""
START = 0.55
"""Capital at once; the rest comes bit by bit (`bets.supply`)."""

SHARE = (0.12, 0.3, 0.7)
GRID = (1.6, 2.5, 5.0)
LIMIT = (0.3, 0.9)
OWN = (0.15, 0.5, 0.9)

GRID_TERMS = tuple((theta - 1.0, math.log(theta)) for theta in GRID)
GRID_LOSS_CLUMP = 1.3
"""Losses of the grid are slowed down by no more than this."""
QUIET_OWN = tuple(1.0 - stake for stake in (*LIMIT, *OWN))
NOT_PLACED = (1.0,) * len(GRID)
