r"""The one way to a terminal for plain text; `console.py` is the one for rich.

Names, messages and files of other people pass here. A `kind` in a manifest such as
`"\x1b[2K\rOK"` would erase a line and write another.
"""

import typer

from canary.text.sanitize import sanitize_output


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text, to stderr with `err`, without what controls a terminal."""
    typer.echo(sanitize_output(text), err=err, nl=nl)
