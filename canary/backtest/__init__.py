"""Replays the releases in the metric history to show what a policy would have decided."""
