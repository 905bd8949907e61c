"""`-o`: how objects are printed, as kubectl prints them.

`-o json|yaml` prints cluster objects with their own apiVersion, several as a `List`; documents of
our own carry `schemaVersion`. `-o name` is `canaryrelease.canary-controller.dev/auth`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from canary.errors import UsageError

Object = Mapping[str, Any]


class As(StrEnum):
    """A format by itself."""

    TEXT = "text"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"
    JSONPATH = "jsonpath"


@dataclass(frozen=True, slots=True)
class Form:
    """A format as it was asked for."""

    kind: As = As.TEXT
    template: str = ""
    """Of jsonpath."""


TEXT = Form()
TABLES = (As.WIDE, As.NAME, As.JSON, As.YAML, As.JSONPATH)
DOCUMENTS = (As.JSON, As.YAML, As.JSONPATH)
OBJECTS = (As.NAME, As.JSON, As.YAML, As.JSONPATH)

TableOutput = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FORMAT", help="wide, name, json, yaml or jsonpath=TEMPLATE."
    ),
]
DocumentOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORMAT", help="json, yaml or jsonpath=TEMPLATE."),
]
ObjectOutput = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FORMAT", help="name, json, yaml or jsonpath=TEMPLATE."),
]


def form_of(text: str | None, allowed: Sequence[As]) -> Form:
    """The format; nothing said is text for people. Raises UsageError that lists what there is."""
    if text is None:
        return TEXT
    name, _, template = text.partition("=")
    if name not in allowed:
        names = ", ".join(f"{one}=TEMPLATE" if one is As.JSONPATH else str(one) for one in allowed)
        raise UsageError(f"-o: one of {names} is expected, found {text!r}")
    if name == As.JSONPATH and not template:
        raise UsageError("-o: jsonpath needs a template, such as jsonpath='{.status.phase}'")
    if name != As.JSONPATH and template:
        raise UsageError(f"-o: {name} takes no template, found {text!r}")
    form = Form(As(name), template)
    if form.kind is As.JSONPATH:
        from canary.render.jsonpath import template as read  # noqa: PLC0415 - keeps --help quick

        read(form.template)
    return form


def printed(form: Form, objects: Sequence[Object], *, one: bool) -> str:
    """Cluster objects in a machine's format; `one`: a single one was asked for by its name."""
    if form.kind is As.NAME:
        return "".join(f"{name_of(item)}\n" for item in objects)
    shown = [_without_managers(item) for item in objects]
    if one and len(shown) == 1:
        return document(form, shown[0])
    items = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}}
    return document(form, {**items, "items": shown})


def document(form: Form, content: Object) -> str:
    """One document as JSON, YAML or by a template, with its line end."""
    match form.kind:
        case As.YAML:
            import yaml  # noqa: PLC0415 - keeps --help quick

            return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))
        case As.JSONPATH:
            from canary.render.jsonpath import template  # noqa: PLC0415 - keeps --help quick

            text = template(form.template)(content)
            return text if text.endswith("\n") or not text else f"{text}\n"
        case _:
            return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def name_of(item: Object) -> str:
    """As `kubectl -o name` has it."""
    group = str(item["apiVersion"]).partition("/")[0]
    return f"{str(item['kind']).lower()}.{group}/{item['metadata']['name']}"


def _without_managers(item: Object) -> Object:
    """Who wrote which field is noise to nearly everybody; kubectl leaves it out as well."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}
