"""Drafts a commented CanaryRelease for a Deployment: `canary init`."""
