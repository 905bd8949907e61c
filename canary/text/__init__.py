"""Formats numbers, times and foreign text for people, each in a single way. Pure."""
