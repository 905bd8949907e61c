"""The outage, replayed with real processes on one machine, with and without canary."""
