"""The result of a conversion: the CanaryRelease, and a note about every field of its source.

Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import yaml

from canary.api import SpecError, load_release
from canary.text.sanitize import escape_unprintable

_WIDTH = 98
_COLUMN = 9


class Equivalent(StrEnum):
    """Whether a field of the source has an equivalent."""

    SAME = "same"
    """It has an equivalent."""
    CHANGED = "changed"
    """It has a counterpart with another meaning, which the note explains."""
    NONE = "none"
    """It has no counterpart; the note says what to do."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note about one field of the source."""

    path: str
    equivalent: Equivalent
    text: str


class SourceFields:
    """The spec of the source. Fields that are not read are reported as unknown at the end."""

    def __init__(self, spec: Mapping[str, Any], path: str = "spec") -> None:
        self._spec = spec
        self._path = path
        self._taken: set[str] = set()
        self.notes: list[Note] = []

    def take_field(self, name: str) -> Any:  # noqa: ANN401 - foreign YAML
        """Return the value of a field, or None; the field is not reported as unknown."""
        self._taken.add(name)
        return self._spec.get(name)

    def open_section(self, name: str) -> "SourceFields":
        """Return a nested mapping; `close` adds its notes."""
        value = self.take_field(name)
        return SourceFields(value if isinstance(value, dict) else {}, f"{self._path}.{name}")

    def add_note(self, name: str, equivalent: Equivalent, text: str) -> None:
        """Add a note about a field, if the source has it."""
        self._taken.add(name)
        if name in self._spec:
            self.notes.append(Note(f"{self._path}.{name}", equivalent, text))

    def note_same(self, name: str, text: str) -> None:
        """Note that the field has an equivalent."""
        self.add_note(name, Equivalent.SAME, text)

    def note_changed(self, name: str, text: str) -> None:
        """Note that the field has a counterpart with another meaning."""
        self.add_note(name, Equivalent.CHANGED, text)

    def note_missing(self, name: str, text: str) -> None:
        """Note that the field has no counterpart."""
        self.add_note(name, Equivalent.NONE, text)

    def close(self) -> list[Note]:
        """Return all notes, including those about fields that were not read."""
        unknown = [
            Note(f"{self._path}.{name}", Equivalent.NONE, "this field is unknown to the converter")
            for name in self._spec
            if name not in self._taken
        ]
        return [*self.notes, *unknown]


@dataclass(frozen=True, slots=True)
class Conversion:
    """A CanaryRelease that was converted from an object of another controller."""

    source: str
    """`Flagger Canary prod/auth`."""
    page: str
    """The documentation page with the steps of the migration."""
    release: Mapping[str, Any]
    notes: Sequence[Note]
    todo: Sequence[str] = field(default=())
    """What must be added before the release is valid."""

    def render(self) -> str:
        """Return the release as YAML, with the notes as comments at its top."""
        return "\n".join([*self._comment_lines(), *self._body_lines()]) + "\n"

    def _comment_lines(self) -> Iterator[str]:
        yield f"# Converted by `canary init --from` from {self.source}."
        yield f"# Check it with `canary lint FILE`, and read {self.page} before you apply it."
        yield "#"
        yield "# Fields of the source that have an equal (same), that change in meaning (changed),"
        yield "# and that have none (none):"
        for note in self.notes:
            yield from _wrap_comment(f"{note.equivalent:<{_COLUMN}}{note.path}: {note.text}")
        for one in self.todo:
            yield from _wrap_comment(f"{'to do':<{_COLUMN}}{one}")

    def _body_lines(self) -> Iterator[str]:
        yield yaml.safe_dump(
            dict(self.release), sort_keys=False, allow_unicode=True, width=_WIDTH
        ).rstrip()

    def summarize(self) -> str:
        """Return `Flagger Canary prod/auth: 4 fields same, 9 changed, 2 none`."""
        counts = [sum(note.equivalent is one for note in self.notes) for one in Equivalent]
        said = ", ".join(f"{n} {one}" for n, one in zip(counts, Equivalent, strict=True))
        return f"{self.source}: fields: {said}; the comments at its top name them"

    def find_problems(self) -> list[str]:
        """Why the release is not valid yet; empty if it is."""
        try:
            load_release(self.render(), "the conversion")
        except SpecError as error:
            return [f"{one.where}: {one.message}" for one in error.problems]
        return []


def build_release(name: str, namespace: str | None, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Build a CanaryRelease; fields of `spec` that are None or empty are omitted."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "canary-controller.dev/v1alpha1",
        "kind": "CanaryRelease",
        "metadata": metadata,
        "spec": {key: value for key, value in spec.items() if value not in (None, [], {})},
    }


def dns_label(name: str) -> str:
    """Convert a name to a DNS label."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63] or "metric"


def _wrap_comment(text: str) -> Iterator[str]:
    """Wrap a comment; lines after the first are indented to the text."""
    line = "#   "
    for word in escape_unprintable(text).split(" "):
        if len(line) + len(word) + 1 > _WIDTH and line.strip("# "):
            yield line.rstrip()
            line = "#   " + " " * _COLUMN
        line += word + " "
    yield line.rstrip()
