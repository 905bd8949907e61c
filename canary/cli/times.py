"""Parses lengths of time as people type them."""

import typer


def length(text: str | float) -> float:
    """Seconds of `30s`, `1h30m` or a plain number; for typer: a default is a number already."""
    if isinstance(text, float):
        return text
    try:
        from canary.api.fields import parse_duration  # noqa: PLC0415 - keeps --help quick

        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, found {text!r}") from error
