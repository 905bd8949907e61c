"""Reads what surrounds a Deployment, from a cluster or from manifests: for init and lint."""
