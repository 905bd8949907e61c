"""`-o`: how objects are printed, as kubectl prints them.

`-o json|yaml` prints cluster objects with their own apiVersion, several as a `List`; documents of
our own carry `schemaVersion`. `-o name` is `canaryrelease.canary-controller.dev/auth`.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from canary.errors import UsageError

Object = Mapping[str, Any]


class OutputFormat(StrEnum):
    """A format by itself."""

    TEXT = "text"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"


def parse_format(text: str | None, allowed: Sequence[OutputFormat]) -> OutputFormat:
    """Return the format; text for people by default. Raises UsageError that lists the formats."""
    if text is None:
        return OutputFormat.TEXT
    if text not in allowed:
        raise UsageError(f"-o: one of {', '.join(allowed)} is expected, found {text!r}")
    return OutputFormat(text)


def format_objects(form: OutputFormat, objects: Sequence[Object], *, one: bool) -> str:
    """Cluster objects in a machine's format; `one`: a single one was asked for by its name."""
    if form is OutputFormat.NAME:
        return "".join(f"{resource_name(item)}\n" for item in objects)
    shown = [_without_managers(item) for item in objects]
    if one and len(shown) == 1:
        return format_document(form, shown[0])
    items = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}}
    return format_document(form, {**items, "items": shown})


def format_document(form: OutputFormat, content: Object) -> str:
    """One document as JSON or YAML, with its line end."""
    if form is OutputFormat.YAML:
        import yaml  # noqa: PLC0415 - keeps --help quick

        return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def resource_name(item: Object) -> str:
    """OutputFormat `kubectl -o name` has it."""
    group = str(item["apiVersion"]).partition("/")[0]
    return f"{str(item['kind']).lower()}.{group}/{item['metadata']['name']}"


def _without_managers(item: Object) -> Object:
    """Who wrote which field is noise to nearly everybody; kubectl leaves it out as well."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}
