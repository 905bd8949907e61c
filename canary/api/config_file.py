"""Loads a YAML file as a model. Every problem is listed with line and column."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from canary.api.fields import Frozen
from canary.api.messages import path_and_sentence
from canary.api.validation_errors import Problem
from canary.api.yaml_documents import NOT_YAML, read_documents
from canary.errors import UsageError

Model = TypeVar("Model", bound=Frozen)


def load_config(path: Path, model: type[Model], *, secret: bool = False) -> Model:
    """Load the file; validators find its directory in the context, as `directory`.

    With `secret` no message repeats a value.

    Raises UsageError that lists every problem with line and column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    documents = read_documents(content) or read_documents("{}")
    if len(documents) > 1:
        raise UsageError(f"{path}: expected one YAML document, found {len(documents)}")
    (document,) = documents
    problems = [_without_text(one) if secret else one for one in document.problems]
    try:
        data = {} if document.data is None else document.data
        loaded = model.model_validate_json(
            json.dumps(data),
            strict=True,
            by_alias=True,
            by_name=False,
            context={"directory": path.absolute().parent},
        )
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            found = path_and_sentence(detail, model, secret=secret)
            if found is not None and not document.unreadable(found[0]):
                problems.append(document.build_problem(*found))
        raise _build_config_error(
            path, problems
        ) from None  # Its text repeats values, which may be secret.
    if problems:
        raise _build_config_error(path, problems)
    return loaded


def _without_text(problem: Problem) -> Problem:
    """Return the problem without the words of the YAML library, which may repeat some text."""
    known = not problem.message.startswith(NOT_YAML)
    return problem if known else replace(problem, message=f"{NOT_YAML}; check indentation, quotes")


def _build_config_error(path: Path, problems: list[Problem]) -> UsageError:
    return UsageError(
        "\n".join(
            f"{path}:{one.line}:{one.column}: {one.where}: {one.message}"
            for one in sorted(problems)
        )
    )
