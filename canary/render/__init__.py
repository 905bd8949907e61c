"""Renders what people read: status, live view, explanation, tables and the HTML report. Pure."""
