"""The auth service of the demo: small, but real. Register, log in, check a token."""
