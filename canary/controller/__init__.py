"""Watches the cluster and reconciles a release whenever one of its objects changes."""
