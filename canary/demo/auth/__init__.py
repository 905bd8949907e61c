"""The auth service of the demo: a small real service to register, log in and check tokens."""
