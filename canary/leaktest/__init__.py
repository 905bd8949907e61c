"""Tests whether a version returns its database connections to the pool: `canary leaktest`."""
