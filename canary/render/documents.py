"""Prints objects in the format of `-o`, as kubectl prints them.

`-o json|yaml` prints cluster objects with their own apiVersion, several as a `List`; documents of
canary carry `schemaVersion`. `-o name` is `canaryrelease.canary-controller.dev/auth`.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from canary.errors import UsageError

Object = Mapping[str, Any]


class OutputFormat(StrEnum):
    """An output format."""

    TEXT = "text"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"


def parse_format(text: str | None, allowed: Sequence[OutputFormat]) -> OutputFormat:
    """Return the format; text by default. Raises UsageError that lists the formats."""
    if text is None:
        return OutputFormat.TEXT
    if text not in allowed:
        raise UsageError(f"-o: expected one of {', '.join(allowed)}, found {text!r}")
    return OutputFormat(text)


def format_objects(form: OutputFormat, objects: Sequence[Object], *, one: bool) -> str:
    """Render cluster objects for machines; `one`: a single object was requested by name."""
    if form is OutputFormat.NAME:
        return "".join(f"{resource_name(item)}\n" for item in objects)
    shown = [_without_managers(item) for item in objects]
    if one and len(shown) == 1:
        return format_document(form, shown[0])
    items = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}}
    return format_document(form, {**items, "items": shown})


def format_document(form: OutputFormat, content: Object) -> str:
    """Render one document as JSON or YAML, with a final newline."""
    if form is OutputFormat.YAML:
        import yaml  # noqa: PLC0415 - keeps --help quick

        return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def resource_name(item: Object) -> str:
    """Return the name as `kubectl -o name` prints it."""
    group = str(item["apiVersion"]).partition("/")[0]
    return f"{str(item['kind']).lower()}.{group}/{item['metadata']['name']}"


def _without_managers(item: Object) -> Object:
    """Drop managedFields, as kubectl does."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}
