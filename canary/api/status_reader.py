"""Reads a status that may be damaged, edited by hand, or written by a newer operator.

Reading never raises. Unreadable parts are dropped, and everything else is kept: an unknown field is
ignored, an unknown reason becomes `Unknown`, a broken history entry is dropped. If the direction of
the release cannot be read the release has the intent Unknown; the rule `canary_left_over` then
removes the traffic of a canary that exists.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from canary.api.reasons import Reason
from canary.api.status import Status

_UNREADABLE = object()


def read_status(data: object) -> Status:
    """Return the status without its unreadable parts. Never raises."""
    if isinstance(data, Status):
        return data
    try:
        return Status.model_validate(data)
    except (ValidationError, RecursionError):
        found = _salvage_model(Status, data)
        return found if isinstance(found, Status) else Status()


def _salvage_model(model: type[BaseModel], data: object) -> object:
    """Return the model with its readable fields; unreadable if a required one is missing."""
    if not isinstance(data, Mapping):
        return _UNREADABLE
    values: dict[str, object] = {}
    for name, field in model.model_fields.items():
        raw = data.get(field.alias or name, _UNREADABLE)
        value = _UNREADABLE if raw is _UNREADABLE else _read_field(field, raw)
        if value is not _UNREADABLE:
            values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError:
        return _UNREADABLE


def _read_field(field: FieldInfo, raw: object) -> object:
    try:
        return _build_adapter(field).validate_python(raw)
    except (ValidationError, RecursionError):
        return _salvage_value(field.annotation, raw)


def _build_adapter(field: FieldInfo) -> TypeAdapter[Any]:
    kind: Any = field.annotation
    return TypeAdapter(Annotated[kind, *field.metadata] if field.metadata else kind)


def _salvage_value(kind: Any, raw: object) -> object:  # noqa: ANN401 - an annotation may be anything
    """Return the readable part of a list, a nested model or an unknown reason."""
    if get_origin(kind) in {Union, UnionType}:
        kind = next(one for one in get_args(kind) if one is not type(None))
    if kind is Reason and isinstance(raw, str):
        return Reason.UNKNOWN
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _salvage_model(kind, raw)
    if get_origin(kind) is tuple and isinstance(raw, list):
        found = (_salvage_value(get_args(kind)[0], one) for one in raw)
        return tuple(one for one in found if one is not _UNREADABLE)
    return _UNREADABLE
