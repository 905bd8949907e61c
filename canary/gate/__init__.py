"""Waits for the end of a release in a pipeline: `canary gate`."""
