"""Write docs/spec.md: each field of the spec with its allowed values, default and meaning."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from inspect import cleandoc
from typing import Annotated, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from canary.api import Spec, format_duration
from canary.api.fields import DurationRange, Expect, Frozen
from canary.api.messages import field_name, list_models

HEAD = """# The spec of a CanaryRelease, field by field

This page lists every field of `spec`; a field that is not listed is an error.
[examples/auth.yaml](examples/auth.yaml) is a complete example, [Presets](presets.md) lists the
metrics that canary knows by name, and [`canary lint FILE`](lint.md) reports every mistake in a file
with its line and column. This page is generated from the models in `canary/api` by `make generate`.

A duration is a text with units, such as `30s`, `2m`, `1h30m` or `250ms`.
"""


def spec_page() -> str:
    """The page as Markdown; a model that several fields have is described once, at the first."""
    first: dict[type[Frozen], str] = {}
    sections = list(_models("spec", Spec))
    for path, model in sections:
        first.setdefault(model, path)
    return HEAD + "".join(
        _section(path, model, first) for path, model in sections if first[model] == path
    )


def _models(path: str, model: type[Frozen]) -> Iterator[tuple[str, type[Frozen]]]:
    yield path, model
    for name, field in model.model_fields.items():
        for inner in list_models(field.annotation):
            types = (field.annotation, *get_args(field.annotation))
            brackets = "[]" if any(get_origin(one) is tuple for one in types) else ""
            yield from _models(f"{path}.{field_name(model, name)}{brackets}", inner)


def _section(path: str, model: type[Frozen], first: dict[type[Frozen], str]) -> str:
    rows = "".join(_row(model, name, field, first) for name, field in model.model_fields.items())
    table = "| field | allowed | default | meaning |\n|---|---|---|---|\n" if rows else ""
    described = cleandoc(model.__doc__ or "")
    return f"\n## `{path}`\n\n{described}\n" + (f"\n{table}{rows}" if rows else "")


def _row(model: type[Frozen], name: str, field: FieldInfo, first: dict[type[Frozen], str]) -> str:
    cells = (
        f"`{field_name(model, name)}`",
        _link(field, first) or _allowed(field.annotation, field.metadata),
        _default(field),
        (field.description or "").replace("\n", " "),
    )
    return f"| {' | '.join(cells)} |\n"


def _link(field: FieldInfo, first: dict[type[Frozen], str]) -> str | None:
    """A link to the section of the field's model; None if the field has a plain value."""
    for model in list_models(field.annotation):
        anchor = "".join(one for one in first[model].lower() if one.isalnum())
        kind = "a list" if first[model].endswith("[]") else "a mapping"
        return f"{kind}: [`{first[model]}`](#{anchor})"
    return None


def _allowed(annotation: object, metadata: Sequence[object] = ()) -> str:
    """The allowed values, in the words of the error messages."""
    for said in reversed(metadata):
        if isinstance(said, Expect):
            return said.words
        if isinstance(said, DurationRange):
            return f"a duration from {said.least} to {said.most}"
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _allowed(inner, more)
    return _plain(annotation)


def _plain(annotation: object) -> str:
    inner = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if get_origin(annotation) is tuple:
        return f"a list: {_allowed(inner[0])}"
    if inner:
        return _allowed(inner[0])
    if not isinstance(annotation, type):
        raise TypeError(f"expected a type that the page can describe, found {annotation}")
    if issubclass(annotation, StrEnum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    return {"bool": "true or false", "float": "a number"}[annotation.__name__]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default in (None, ()):
        return "–"
    if isinstance(field.default, Frozen):
        return "the defaults of its fields"
    if any(isinstance(said, DurationRange) for said in field.metadata):
        return f"`{format_duration(field.default)}`"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
