"""Simulates releases to show how soon a policy finds a fault: `canary simulate`."""
