"""Compares two groups of series by the judge of the operator: `canary analyze`."""
