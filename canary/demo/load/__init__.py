"""The load on the demo: an open-loop generator of logins, and what became of them."""
