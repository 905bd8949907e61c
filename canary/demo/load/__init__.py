"""The load on the demo: an open-loop generator of logins, and counters of their results."""
