r"""Writes plain text to the terminal, sanitized (rich output: `console.py`).

Names, messages and files from outside are printed here. A `kind` in a manifest such as
`"\x1b[2K\rOK"` would erase a line and write another.
"""

import typer

from canary.text.sanitize import sanitize_output


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text, to stderr with `err`, without terminal control characters."""
    typer.echo(sanitize_output(text), err=err, nl=nl)
