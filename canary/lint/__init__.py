"""Finds errors and risks in CanaryRelease files: `canary lint`."""
