"""Tests whether a version gives its database connections back: `canary leaktest`."""
