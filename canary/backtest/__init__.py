"""Says what a policy would have decided about the releases of a history: `canary backtest`."""
