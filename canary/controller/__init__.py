"""Watches the cluster and has each release passed over when something about it changes."""
