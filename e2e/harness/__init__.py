"""Releases of a real service on a real cluster, under load, watched from outside."""
