"""Replays the outage with real processes on one machine, with and without canary: `canary demo`."""
