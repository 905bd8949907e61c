"""Faults against real `canary operator` processes on a real cluster; see docs/e2e.md."""
