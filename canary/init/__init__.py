"""Drafts a CanaryRelease with comments for a Deployment: `canary init`."""
