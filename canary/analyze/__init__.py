"""Compares two groups of series with the operator's analysis: `canary analyze`."""
