"""Reads YAML into JSON values with the position of each, as strictly as kubectl.

Implicit types of YAML 1.1 are not used: dates, `1:30` as a number, octal `010`. Duplicate keys,
tags and anchors that expand without limit are errors.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise

import yaml

from canary.api.validation_errors import Path, Problem, format_path

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

MAX_BYTES = 1 << 20
"""More than an API server accepts. Without a limit a wrong file would take minutes."""
MAX_DEPTH = 40
MAX_VALUES = 50_000
MAX_NODES = 2 * MAX_VALUES
"""Maximum number of values and keys in the text."""
MAX_DOCUMENTS = 2000
NOT_YAML = "this is not YAML"

_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|nan)",
    re.IGNORECASE,
)


class _Loader(yaml.SafeLoader):
    """Resolves null, booleans, merges and decimal numbers; anything else is text.

    It stops at the limits before it reads the rest: PyYAML needs a minute for a MiB of short keys,
    and nesting is recursion. (libyaml is faster, but crashes the process at deep nesting.)
    """

    def __init__(self, text: str, nodes: Iterator[int]) -> None:
        """`nodes` counts those of the whole file."""
        super().__init__(text)
        self._nodes = nodes
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node as in PyYAML, and count it. Raises RecursionError, OverflowError."""
        self._depth += 1
        if next(self._nodes) > MAX_NODES:
            raise OverflowError
        if self._depth > 2 * MAX_DEPTH:
            raise RecursionError
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] in {_TAG + "null", _TAG + "bool", _TAG + "merge"}]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _TAG + "float", re.compile(f"^(?:{_NUMBER.pattern})$", re.IGNORECASE), list("-+.0123456789")
)


@dataclass(slots=True)
class Document:
    """One YAML document: its value, and line and column of each part."""

    data: Json = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    rejected: set[Path] = field(default_factory=set)
    """Paths whose value could not be read."""

    def unreadable(self, path: Path) -> bool:
        """Return whether a value at or above this path could not be read."""
        return any(rejected[: len(path)] == path for rejected in self.rejected)

    def place(self, path: Path) -> tuple[int, int]:
        """Return line and column of a path, or of its nearest parent that exists."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (1, 1))

    def build_problem(self, path: Path, message: str) -> Problem:
        """Build a problem at a path."""
        return Problem(*self.place(path), format_path(path), message)


def read_documents(content: bytes | str) -> list[Document]:
    """Return the YAML documents of a file, without empty ones; each has its own problems."""
    text = _decode_content(content)
    if isinstance(text, Problem):
        return [Document(problems=[text])]
    chunks = list(_split_documents(text))
    if len(chunks) > MAX_DOCUMENTS:
        words = f"expected at most {MAX_DOCUMENTS:,} documents, found {len(chunks):,}"
        return [Document(problems=[Problem(1, 1, "file", words)])]
    nodes = count(1)
    return [_read_document(chunk, line, nodes) for line, chunk in chunks]


def _decode_content(content: bytes | str) -> str | Problem:
    if len(content) > MAX_BYTES:
        return Problem(1, 1, "file", "expected at most 1 MiB of YAML, found more")
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return Problem(1, 1, "file", "expected UTF-8 text, found UTF-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        found = f"the byte 0x{content[error.start]:02x}"
        return Problem(line, column, "file", f"expected UTF-8 text, found {found}")


def _split_documents(text: str) -> Iterator[tuple[int, str]]:
    """Yield each document with its first line; a broken one does not affect the others."""
    lines = text.splitlines(keepends=True)
    starts = [index for index, line in enumerate(lines) if re.match(r"---(\s|$)", line)]
    bounds = [0, *starts, len(lines)]
    for start, end in pairwise(bounds):
        content = [line for line in lines[start:end] if not re.match(r"\s*(#|$)|%|---\s*$", line)]
        if content:
            yield start, "".join(lines[start:end])


def _read_document(text: str, offset: int, nodes: Iterator[int]) -> Document:
    document = Document()
    try:
        loader = _Loader(text, nodes)
        node = loader.get_single_node()
        if node is not None:
            document.data = _Reader(document, offset).value(node, ())
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, text, offset))
    except RecursionError:
        document.problems.append(Problem(offset + 1, 1, "file", _TOO_DEEP))
    except OverflowError:
        words = f"expected at most {MAX_NODES:,} values and keys in a file, found more"
        document.problems.append(Problem(offset + 1, 1, "file", words))
    except _TooLargeError as error:
        document.problems.append(error.problem)
    return document


_TOO_DEEP = f"expected at most {MAX_DEPTH} levels, found more (or an alias inside its anchor)"


class _TooLargeError(Exception):
    """The document exceeds the limits of depth or size."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Reader:
    """Turns nodes into values, noting places and problems in `document`."""

    def __init__(self, document: Document, offset: int) -> None:
        self._document = document
        self._offset = offset
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Json:
        self._document.marks.setdefault(path, self._find_place(node))
        self._count += 1
        if len(path) > MAX_DEPTH:
            raise _TooLargeError(self._build_problem(node, path[:3], _TOO_DEEP))
        if self._count > MAX_VALUES:
            what = f"expected at most {MAX_VALUES} values (aliases written out), found more"
            raise _TooLargeError(self._build_problem(node, (), what))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._read_scalar(node, path)
        return self._reject_value(node, path, f"expected no tag here, found {_tag_name(node)}")

    def _read_mapping(self, node: yaml.MappingNode, path: Path) -> Json:
        own: dict[str, Json] = {}
        merged: dict[str, Json] = {}
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                for name, inner in self._read_merged(value, path).items():
                    merged.setdefault(name, inner)
            elif not isinstance(key, yaml.ScalarNode):
                self._add_problem(key, path, "expected text as a key, found a list or a mapping")
            elif key.value in own:
                line = self._document.marks[(*path, key.value)][0]
                self._add_problem(
                    key,
                    (*path, key.value),
                    f"expected this key once, found it in line {line} too",
                )
            else:
                inner_path = (*path, key.value)
                self._document.marks[inner_path] = self._find_place(key)
                own[key.value] = self.value(value, inner_path)
        return merged | own

    def _read_merged(self, node: yaml.Node, path: Path) -> dict[str, Json]:
        """Return the mappings that `<<` merges; the first one wins."""
        result: dict[str, Json] = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.value(source, path)
            if not isinstance(value, dict):
                self._add_problem(source, path, "expected a mapping after <<, found something else")
            else:
                result = value | result
        return result

    def _read_scalar(self, node: yaml.ScalarNode, path: Path) -> Json:
        match node.tag.removeprefix(_TAG):
            case "str":
                return str(node.value)
            case "null":
                return None
            case "bool" if node.value.lower() in _Loader.bool_values:
                return _Loader.bool_values[node.value.lower()]
            case "int" | "float" if _NUMBER.fullmatch(node.value):
                return self._read_number(node, path)
            case _:
                return self._reject_value(
                    node, path, f"expected no tag here, found {_tag_name(node)}"
                )

    def _read_number(self, node: yaml.ScalarNode, path: Path) -> Json:
        """Return an int for a whole number in any notation, as in JSON."""
        number = float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(number):
            return self._reject_value(
                node, path, f"expected a finite number, found {node.value[:40]}"
            )
        return int(number) if number.is_integer() and abs(number) < 1 << 53 else number

    def _reject_value(self, node: yaml.Node, path: Path, message: str) -> Json:
        self._document.rejected.add(path)
        self._add_problem(node, path, message)
        return None

    def _add_problem(self, node: yaml.Node, path: Path, message: str) -> None:
        self._document.problems.append(self._build_problem(node, path, message))

    def _build_problem(self, node: yaml.Node, path: Path, message: str) -> Problem:
        return Problem(*self._find_place(node), format_path(path), message)

    def _find_place(self, node: yaml.Node) -> tuple[int, int]:
        return self._offset + node.start_mark.line + 1, node.start_mark.column + 1


def _tag_name(node: yaml.Node) -> str:
    return str(node.tag).replace(_TAG, "!!")


def _syntax_problem(error: yaml.YAMLError, text: str, offset: int) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n"), len(before) - before.rfind("\n")
        found = f"the control character U+{ord(text[error.position]):04X}"
        return Problem(offset + line + 1, column, "file", f"expected text, found {found}")
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    if "'\\t'" in what:
        what = "expected spaces for indentation, found a tab"
    return Problem(offset + line, column, "file", f"{NOT_YAML}: {what}")
