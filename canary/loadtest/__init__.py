"""Sends open-loop load and checks thresholds: `canary loadtest`."""
