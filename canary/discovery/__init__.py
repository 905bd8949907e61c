"""Reads a Deployment and the objects around it, from a cluster or from manifests."""
