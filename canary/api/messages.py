"""Turns pydantic errors into messages: what was expected and what was found."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from pydantic_core import ErrorDetails

from canary.api.fields import Frozen
from canary.api.validation_errors import Path

MAX_CHARACTERS = 60
"""Maximum number of characters of a value that a message repeats."""
_TYPES = {
    "bool_type": "true or false",
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
}


def path_and_sentence(
    detail: ErrorDetails, root: type[Frozen], *, secret: bool = False
) -> tuple[Path, str] | None:
    """Return path and message of an error; None if it only follows from another one.

    (A list with a wrong element is counted without it and then called too short.) With `secret`
    the message does not repeat the value.
    """
    context = detail.get("ctx", {})
    path: Path = tuple(detail["loc"])
    if detail["type"] == "misfit":
        return (*path, *context["at"]), str(context["message"])
    if detail["type"] == "too_short" and len(detail["input"]) >= context["min_length"]:
        return None
    return path, _describe_error(detail, path, root, describe_type if secret else describe_value)


def _describe_error(
    detail: ErrorDetails, path: Path, root: type[Frozen], describe: Callable[[object], str]
) -> str:
    if detail["type"] == "extra_forbidden":
        return describe_unknown("field", str(path[-1]), list_fields(path[:-1], root))
    if detail["type"] == "missing":
        return "this field is required, found nothing"
    allowed, found = _describe_allowed(detail, path, root), describe(detail["input"])
    return f"expected {allowed}, found {found}"


def _describe_allowed(detail: ErrorDetails, path: Path, root: type[Frozen]) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "expected":
            words = str(context["words"])
        case "literal_error" | "enum":
            words = str(context["expected"])
        case "model_type":
            words = f"a mapping ({', '.join(list_fields(path, root)) or 'without fields'})"
        case "too_short":
            words = f"a list of {context['min_length']} or more"
        case "too_long":
            words = f"a list of at most {context['max_length']}"
        case kind:
            words = _TYPES.get(kind, detail["msg"].lower())
    return words


def describe_value(value: object) -> str:
    """Describe a value as in YAML, with its type if the type may be wrong."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            short = value if len(value) <= MAX_CHARACTERS else value[:MAX_CHARACTERS] + "…"
            return f"the text {short!r}"
        case dict():
            return "a mapping"
        case list():
            return f"a list of {len(value)}"
        case _:
            return str(value)


def describe_type(value: object) -> str:
    """Describe what kind of value was found, without the value."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return "a text that does not fit"
        case int() | float():
            return "a number"
        case dict():
            return "a mapping"
        case _:
            return "a list"


RENAMED = {
    "patience": "noDataTimeout",
    "incident": "toleratedIncident",
    "minimum": "minDuration",
    "settle": "propagationDelay",
    "hold": "duration",
    "falsePositiveRate": "falsePositiveRate",
    "before": "checks",
}
"""Former names of fields, and their current names."""


def describe_unknown(what: str, name: str, allowed: Sequence[str]) -> str:
    """`unknown field 'wieght'; did you mean weight? (allowed: …)`."""
    renamed = [RENAMED[name]] if RENAMED.get(name) in allowed else []
    close = renamed or get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return (
        f"unknown {what} {name[:MAX_CHARACTERS]!r}{hint} (allowed: {', '.join(allowed) or 'none'})"
    )


def list_fields(path: Path, root: type[Frozen]) -> list[str]:
    """Return the field names that the models allow at a path."""
    model: type[Frozen] | None = root
    key = False
    for part in path:
        if key:
            key = False
        elif isinstance(part, str) and model is not None:
            key = _is_mapping(model, part)
            model = _find_model(model, part)
    return [] if model is None else [field_name(model, name) for name in model.model_fields]


def field_name(model: type[Frozen], name: str) -> str:
    """Return the name of a field in YAML."""
    return model.model_fields[name].alias or name


def _find_model(model: type[Frozen], alias: str) -> type[Frozen] | None:
    for name, field in model.model_fields.items():
        if field_name(model, name) == alias:
            return next(iter(list_models(field.annotation)), None)
    return None


def _is_mapping(model: type[Frozen], alias: str) -> bool:
    """Return whether a field has names of the user's own as keys."""
    fields = ((field_name(model, name), one) for name, one in model.model_fields.items())
    return any(
        getattr(one.annotation, "__origin__", None) is Mapping
        for name, one in fields
        if name == alias
    )


def list_models(annotation: object) -> list[type[Frozen]]:
    """Return the models in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return [annotation]
    arguments = getattr(annotation, "__args__", ())
    return [found for argument in arguments for found in list_models(argument)]
