"""Texts with `{{ placeholders }}`, parsed once and filled for each request. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from canary.errors import UsageError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A parsed text: literal parts and placeholders in turn, beginning with a literal."""

    parts: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its placeholders."""
        return self.parts[1::2]

    def fill(self, row: Mapping[str, str], quoted: Callable[[str], str] = str) -> str:
        """Return the text with the values of a row, each escaped by `quoted`."""
        if len(self.parts) == 1:
            return self.parts[0]
        return "".join(self._filled_parts(row, quoted))

    def _filled_parts(self, row: Mapping[str, str], quoted: Callable[[str], str]) -> Iterator[str]:
        for index, part in enumerate(self.parts):
            yield quoted(row[part]) if index % 2 else part


def parse_template(text: str) -> TextTemplate:
    """Parse a text.

    Raises:
        UsageError: a placeholder is not a name.
    """
    parts: list[str] = []
    at = 0
    while (start := text.find("{{", at)) >= 0 and (end := text.find("}}", start + 2)) >= 0:
        name = text[start + 2 : end].strip()
        if not _IDENTIFIER.fullmatch(name):
            raise UsageError(f"expected a name between {{{{ and }}}}, found {name[:40]!r}")
        parts += [text[at:start], name]
        at = end + 2
    return TextTemplate((*parts, text[at:]))
