"""The whole resource, and how a YAML file becomes one: with all its errors at once."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError

from canary.api.fields import Frozen, Name, ObjectName
from canary.api.messages import path_and_sentence
from canary.api.spec import Spec
from canary.api.status import Status
from canary.api.status_reader import read_status
from canary.api.validation_errors import Path, Problem, SpecError
from canary.api.yaml_documents import Document, read_documents

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
    status: Annotated[Status, Field(default_factory=Status), BeforeValidator(read_status)]


ReleaseRule = Callable[[CanaryRelease], Iterable[tuple[Path, str]]]
"""A check beyond the models (say, of preset names): path and sentence of whatever is wrong."""


@dataclass(frozen=True, slots=True)
class LoadedReleases:
    """What a file holds: the releases that are fine, what else is there, all that is wrong."""

    source: str
    releases: tuple[CanaryRelease, ...]
    others: tuple[str, ...]
    """Objects of other kinds, which are left alone: `Deployment auth`."""
    problems: tuple[Problem, ...]


def load_releases(
    content: bytes | str, source: str, rules: Sequence[ReleaseRule] = (), *, required: bool = True
) -> LoadedReleases:
    """Every document of a YAML file; `source` names the file in messages. Never raises.

    A file without a CanaryRelease is a problem where one is `required`.
    """
    releases: list[CanaryRelease] = []
    others: list[str] = []
    problems: list[Problem] = []
    for document in read_documents(content):
        other = _describe_other_kind(document)
        if other is not None:
            others.append(other)
        elif isinstance(release := _validate_document(document, rules), CanaryRelease):
            releases.append(release)
        problems.extend(document.problems)
    if required and not releases and not problems:
        found = ", ".join(others) or "nothing"
        problems.append(Problem(1, 1, "file", f"a CanaryRelease is expected, found {found}"))
    return LoadedReleases(source, tuple(releases), tuple(others), tuple(sorted(problems)))


def load_release(
    content: bytes | str, source: str, rules: Sequence[ReleaseRule] = ()
) -> CanaryRelease:
    """The one CanaryRelease in a YAML file; `source` names the file in messages.

    Raises:
        SpecError: with every problem of the file, each with line and column.
    """
    loaded = load_releases(content, source, rules)
    problems = loaded.problems
    if len(loaded.releases) > 1:
        names = ", ".join(release.metadata.name for release in loaded.releases)
        problems += (Problem(1, 1, "file", f"one CanaryRelease is expected, found {names}"),)
    if problems:
        raise SpecError(source, problems)
    return loaded.releases[0]


def _describe_other_kind(document: Document) -> str | None:
    """`Deployment auth` for an object that is none of ours: manifests often share a file."""
    data = document.data
    if not isinstance(data, dict):
        return None
    kind, version, metadata = data.get("kind"), data.get("apiVersion"), data.get("metadata")
    if not isinstance(kind, str) or not isinstance(version, str):
        return None
    if kind == "CanaryRelease" or version.startswith(GROUP):
        return None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{kind} {name}" if isinstance(name, str) else kind


def _validate_document(document: Document, rules: Sequence[ReleaseRule]) -> CanaryRelease | None:
    """The release, or None after its problems were noted in the document."""
    if document.data is None and document.problems:
        return None
    try:
        # As JSON: there a list is a list and "5" no number, just as for the API server.
        release = CanaryRelease.model_validate_json(
            json.dumps(document.data), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            found = path_and_sentence(detail, CanaryRelease)
            if found is not None and not document.unreadable(found[0]):
                document.problems.append(document.problem(*found))
        return None
    wrong = [document.problem(*found) for rule in rules for found in rule(release)]
    document.problems.extend(wrong)
    return None if document.problems else release
