"""Reads the metrics of a past release again for its incident report: `canary report`."""
