"""Reads a release of the past again for its incident report: `canary report`."""
