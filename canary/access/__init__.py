"""Finds code that takes a database connection and may not give it back: `canary access`."""
