"""Sends HTTP requests to addresses from specs and pods: checks, receivers, /metrics pages."""
