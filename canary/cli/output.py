"""`-o`: the formats of each command."""

from typing import Annotated

import typer

from canary.render.documents import As

TABLES = (As.WIDE, As.NAME, As.JSON, As.YAML)
DOCUMENTS = (As.JSON, As.YAML)
OBJECTS = (As.NAME, As.JSON, As.YAML)

TableOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORMAT", help="wide, name, json or yaml."),
]
DocumentOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORMAT", help="json or yaml."),
]
ObjectOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORMAT", help="name, json or yaml."),
]
