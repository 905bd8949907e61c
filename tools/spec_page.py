"""docs/spec.md: each field of the spec with what is allowed, its default and its meaning."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from canary.api import Spec, format_duration
from canary.api.fields import DurationRange, Expect, Frozen
from canary.api.messages import field_name, list_models

HEAD = """# The spec of a CanaryRelease, field by field

Generated from the models in `canary/api` by `make generate`. A whole example is
[examples/auth.yaml](examples/auth.yaml); `canary lint FILE` checks a file against this page and
says every problem with line and column.

Durations are written `30s`, `2m`, `1h30m` or `250ms`: a text with a unit.
A field that is not listed here is an error.
"""


def spec_page() -> str:
    """The page as Markdown."""
    return HEAD + "".join(_section(path, model) for path, model in _models("spec", Spec))


def _models(path: str, model: type[Frozen]) -> Iterator[tuple[str, type[Frozen]]]:
    yield path, model
    for name, field in model.model_fields.items():
        for inner in list_models(field.annotation):
            brackets = "[]" if get_origin(field.annotation) is tuple else ""
            yield from _models(f"{path}.{field_name(model, name)}{brackets}", inner)


def _section(path: str, model: type[Frozen]) -> str:
    rows = "".join(_row(model, name, field) for name, field in model.model_fields.items())
    table = "| field | allowed | default | meaning |\n|---|---|---|---|\n" if rows else ""
    return f"\n## `{path}`\n\n{model.__doc__}\n" + (f"\n{table}{rows}" if rows else "")


def _row(model: type[Frozen], name: str, field: FieldInfo) -> str:
    cells = (
        f"`{field_name(model, name)}`",
        _allowed(field.annotation, field.metadata),
        _default(field),
        (field.description or "").replace("\n", " "),
    )
    return f"| {' | '.join(cells)} |\n"


def _allowed(annotation: object, metadata: Sequence[object] = ()) -> str:
    """What may be written, in the words of the error messages."""
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
        return "a list, see below" if list_models(annotation) else f"a list: {_allowed(inner[0])}"
    if inner:
        return _allowed(inner[0])
    if not isinstance(annotation, type):
        raise TypeError(f"expected a type that the page can describe, found {annotation}")
    if issubclass(annotation, StrEnum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    return {"bool": "true or false", "float": "a number"}.get(annotation.__name__, "see below")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default in (None, ()):
        return "–"
    if any(isinstance(said, DurationRange) for said in field.metadata):
        return f"`{format_duration(field.default)}`"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
