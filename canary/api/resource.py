"""The CanaryRelease resource, and its reader for YAML files, which reports all errors at once."""

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
    """The fields of ObjectMeta that canary uses."""

    model_config = Frozen.model_config | {"extra": "ignore"}

    name: ObjectName
    namespace: Name = "default"
    generation: int = 1
    annotations: dict[str, str] = Field(default_factory=dict)


class CanaryRelease(Frozen):
    """A managed workload: the user's spec and the controller's status."""

    api_version: Literal["canary-controller.dev/v1alpha1"]
    kind: Literal["CanaryRelease"]
    metadata: Metadata
    spec: Spec
    status: Annotated[Status, Field(default_factory=Status), BeforeValidator(read_status)]


ReleaseRule = Callable[[CanaryRelease], Iterable[tuple[Path, str]]]
"""A rule beyond the models, such as for preset names; yields path and message per problem."""


@dataclass(frozen=True, slots=True)
class LoadedReleases:
    """The content of a file: valid releases, objects of other kinds, and all problems."""

    source: str
    releases: tuple[CanaryRelease, ...]
    others: tuple[str, ...]
    """Objects of other kinds, which are ignored: `Deployment auth`."""
    problems: tuple[Problem, ...]


def load_releases(
    content: bytes | str, source: str, rules: Sequence[ReleaseRule] = (), *, required: bool = True
) -> LoadedReleases:
    """Load all documents of a YAML file; `source` names the file in messages. Never raises.

    With `required` a file without a CanaryRelease is a problem.
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
        problems.append(Problem(1, 1, "file", f"expected a CanaryRelease, found {found}"))
    return LoadedReleases(source, tuple(releases), tuple(others), tuple(sorted(problems)))


def load_release(
    content: bytes | str, source: str, rules: Sequence[ReleaseRule] = ()
) -> CanaryRelease:
    """Load the only CanaryRelease of a YAML file; `source` names the file in messages.

    Raises:
        SpecError: the file has problems; the error lists all of them with line and column.
    """
    loaded = load_releases(content, source, rules)
    problems = loaded.problems
    if len(loaded.releases) > 1:
        names = ", ".join(release.metadata.name for release in loaded.releases)
        problems += (Problem(1, 1, "file", f"expected one CanaryRelease, found {names}"),)
    if problems:
        raise SpecError(source, problems)
    return loaded.releases[0]


def _describe_other_kind(document: Document) -> str | None:
    """Return `Deployment auth` for an object of another kind; manifests often share a file."""
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
    """Return the release, or None after adding its problems to the document."""
    if document.data is None and document.problems:
        return None
    try:
        # As JSON, for the types of the API server: "5" is not a number.
        release = CanaryRelease.model_validate_json(
            json.dumps(document.data), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            found = path_and_sentence(detail, CanaryRelease)
            if found is not None and not document.unreadable(found[0]):
                document.problems.append(document.build_problem(*found))
        return None
    wrong = [document.build_problem(*found) for rule in rules for found in rule(release)]
    document.problems.extend(wrong)
    return None if document.problems else release
