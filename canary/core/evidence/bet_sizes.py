"""The stakes of all bets (shares of their wealth), and values derived from them."""

import math

MOST = 1e15
"""Maximum of wealth and evidence. Larger values change no decision."""
START = 0.55
"""Initial capital. The rest follows over time (`bets.compute_fresh_capital`)."""

SHARE = (0.12, 0.3, 0.7)
GRID = (1.6, 2.5, 5.0)
LIMIT = (0.3, 0.9)
OWN = (0.15, 0.5, 0.9)

GRID_TERMS = tuple((theta - 1.0, math.log(theta)) for theta in GRID)
GRID_LOSS_CLUMP = 1.3
"""The grid's losses are divided by at most this clump size."""
QUIET_OWN = tuple(1.0 - stake for stake in (*LIMIT, *OWN))
NOT_PLACED = (1.0,) * len(GRID)
