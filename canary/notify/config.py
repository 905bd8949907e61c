"""The operator's own receivers, from a file: `--notify-file`."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from canary.api.analysis import reject_duplicates
from canary.api.fields import Frozen, Name, Url, build_field_error
from canary.api.messages import path_and_sentence
from canary.api.notify import Notify
from canary.api.validation_errors import Problem
from canary.api.yaml_documents import read_documents
from canary.errors import CanaryError, UsageError
from canary.notify.message import VARIABLES, Links, unknown_variables
from canary.notify.secrets import MountedSecrets
from canary.runbooks import BASE


class Route(Notify):
    """A receiver for all namespaces, or for some."""

    name: Name
    """How metrics and log lines call it."""
    namespaces: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()
    """Only of releases there; none: of all."""


def fillable(template: str) -> str:
    """An address with braces that somebody can fill in."""
    try:
        unknown = unknown_variables(template)
    except ValueError:
        raise build_field_error("matching braces are expected") from None
    if unknown:
        names = ", ".join(VARIABLES)
        raise build_field_error(f"only {names} are expected in braces, found {unknown[0]!r}")
    return template


def names_differ(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """Metrics and log lines tell receivers apart by name."""
    reject_duplicates([route.name for route in routes])
    return routes


Template = Annotated[Url, AfterValidator(fillable)]


class Pages(Frozen):
    """Where the pages are that a message links."""

    runbooks: Url = BASE
    """What a reason is appended to."""
    dashboard: Template | None = None
    """Of a release."""
    pools: Template | None = None
    """Of connection pools: linked where the reason is about them."""


class NotifyFile(Frozen):
    """The whole file."""

    receivers: Annotated[
        tuple[Route, ...], Field(max_length=100), AfterValidator(names_differ)
    ] = ()
    """Told of releases in all namespaces, besides those of each release's own spec."""
    links: Pages = Pages()

    def pages(self) -> Links:
        """As letters have them."""
        return Links(self.links.runbooks, self.links.dashboard, self.links.pools)


def load_receivers(path: Path | None, secrets: Path) -> NotifyFile:
    """As `load_notify`, and every Secret is there: better said now than in the first incident."""
    if path is None:
        return NotifyFile()
    loaded, mounted = load_notify(path), MountedSecrets(secrets)
    for route in loaded.receivers:
        if route.secret is not None:
            try:
                mounted.read("", route.secret)
            except CanaryError as error:
                raise UsageError(f"receiver {route.name}: {error}") from error
    return loaded


def load_notify(path: Path) -> NotifyFile:
    """Raises UsageError with every problem, each with line and column."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    documents = read_documents(content) or read_documents("{}")
    if len(documents) > 1:
        raise UsageError(f"{path}: one YAML document is expected, found {len(documents)}")
    (document,) = documents
    problems = list(document.problems)
    try:
        data = {} if document.data is None else document.data
        loaded = NotifyFile.model_validate_json(
            json.dumps(data), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        loaded = NotifyFile()
        for detail in error.errors(include_url=False):
            found = path_and_sentence(detail, NotifyFile)
            if found is not None and not document.unreadable(found[0]):
                problems.append(document.problem(*found))
    if problems:
        raise UsageError("\n".join(_line(path, problem) for problem in sorted(problems)))
    return loaded


def _line(path: Path, problem: Problem) -> str:
    return f"{path}:{problem.line}:{problem.column}: {problem.where}: {problem.message}"
