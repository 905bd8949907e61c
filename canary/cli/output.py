"""`-o`: the formats of each command."""

from typing import Annotated

import typer

from canary.render.documents import OutputFormat

TABLES = (OutputFormat.WIDE, OutputFormat.NAME, OutputFormat.JSON, OutputFormat.YAML)
DOCUMENTS = (OutputFormat.JSON, OutputFormat.YAML)
OBJECTS = (OutputFormat.NAME, OutputFormat.JSON, OutputFormat.YAML)

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
