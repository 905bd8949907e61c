"""The whole resource, and how a YAML file becomes one: with all its errors at once."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from canary.api.fields import Frozen, Name, ObjectName
from canary.api.spec import Spec
from canary.api.status import Status
from canary.errors import UsageError

GROUP = "canary-controller.dev"
VERSION = "v1alpha1"


class Metadata(Frozen):
    """What we need of ObjectMeta; the rest is the API server's."""

    model_config = Frozen.model_config | {"extra": "ignore"}

    name: ObjectName
    namespace: Name = "default"
    generation: int = 1
    annotations: dict[str, str] = Field(default_factory=dict)


class CanaryRelease(Frozen):
    """One guarded workload: the user's wish and what we make of it."""

    api_version: Literal["canary-controller.dev/v1alpha1"]
    kind: Literal["CanaryRelease"]
    metadata: Metadata
    spec: Spec
    status: Annotated[Status, Field(default_factory=Status)]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: where, what was found, what is allowed."""

    where: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """`line 12, column 5: spec.steps[1].weight: …`."""
        return f"line {self.line}, column {self.column}: {self.where}: {self.message}"


class SpecError(UsageError):
    """A CanaryRelease that cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{source} is not a valid CanaryRelease, {count}:\n{lines}")
        self.source = source
        self.problems = problems


Path = tuple[int | str, ...]


def load_release(text: str, source: str) -> CanaryRelease:
    """The CanaryRelease in a YAML text; `source` names it in messages.

    Raises:
        SpecError: with every problem of the file, each with line and column.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(source, (_syntax_problem(error),)) from error
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        message = f"a mapping with apiVersion, kind, metadata, spec is expected, found {found}"
        raise SpecError(source, (Problem("file", 1, 1, message),))
    try:
        return CanaryRelease.model_validate(data)
    except ValidationError as error:
        marks = _marks(node)
        problems = [_problem(detail, marks) for detail in error.errors(include_url=False)]
        raise SpecError(
            source, tuple(sorted(problems, key=lambda p: (p.line, p.column, p.where)))
        ) from error


def _syntax_problem(error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem("file", line, column, f"this is not YAML: {what}")


def _marks(node: yaml.Node | None) -> dict[Path, tuple[int, int]]:
    marks: dict[Path, tuple[int, int]] = {}

    def walk(current: yaml.Node, path: Path) -> None:
        marks.setdefault(path, (current.start_mark.line + 1, current.start_mark.column + 1))
        if isinstance(current, yaml.MappingNode):
            for key, value in current.value:
                inner = (*path, key.value)
                marks[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
                walk(value, inner)
        elif isinstance(current, yaml.SequenceNode):
            for index, value in enumerate(current.value):
                walk(value, (*path, index))

    if node is not None:
        walk(node, ())
    return marks


def _problem(detail: ErrorDetails, marks: dict[Path, tuple[int, int]]) -> Problem:
    path: Path = tuple(detail["loc"])
    known = path
    while known and known not in marks:
        known = known[:-1]
    line, column = marks.get(known, (1, 1))
    return Problem(_dotted(path), line, column, _sentence(detail))


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "file"


def _sentence(detail: ErrorDetails) -> str:
    found = _shown(detail["input"])
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "this field is required and missing"
        case "extra_forbidden":
            return _unknown_field(str(detail["loc"][-1]), tuple(detail["loc"]))
        case "value_error":
            message = str(context.get("error", detail["msg"]))
            return message if "found" in message or not _is_scalar(detail) else (
                f"{message}, found {found}"
            )
        case "literal_error" | "enum":
            return f"{context['expected']} is expected, found {found}"
        case "string_pattern_mismatch":
            return f"a value that matches {context['pattern']} is expected, found {found}"
        case _:
            allowed = detail["msg"].removeprefix("Input should be ").removeprefix("Value should ")
            return f"{allowed} is expected, found {found}"


def _is_scalar(detail: ErrorDetails) -> bool:
    return not isinstance(detail["input"], dict | list | Frozen)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _unknown_field(name: str, path: Path) -> str:
    allowed = _fields_at(path[:-1])
    close = get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown field{hint} (allowed: {', '.join(allowed)})"


def _fields_at(path: Path) -> list[str]:
    """The field names allowed at a path, read off the models themselves."""
    model: type[Frozen] | None = CanaryRelease
    for part in path:
        if isinstance(part, int) or model is None:
            continue
        model = _model_of(model, part)
    return [] if model is None else [_alias(model, name) for name in model.model_fields]


def _alias(model: type[Frozen], name: str) -> str:
    return model.model_fields[name].alias or name


def _model_of(model: type[Frozen], alias: str) -> type[Frozen] | None:
    for name, field in model.model_fields.items():
        if _alias(model, name) == alias:
            return next((t for t in _types(field.annotation) if issubclass(t, Frozen)), None)
    return None


def _types(annotation: object) -> list[type]:
    if isinstance(annotation, type):
        return [annotation]
    arguments = getattr(annotation, "__args__", ())
    return [found for argument in arguments for found in _types(argument)]
