"""Tells people outside the cluster: receivers, routes by reason, one bounded sender."""
