r"""The part of kubectl's JSONPath templates that people use: text with `{.paths}` in it.

`{.status.phase}`, `{.items[*].metadata.name}`, `{.a['b.c']}`, `{.a.b\.c}`, `[0]`, `[-1]`, `[1:3]`,
`[?(@.type=="Ready")]`, `{range .items[*]}…{end}`, `{"\n"}`. What is absent prints nothing; several
values stand side by side, objects as JSON; a template without braces is one path.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from canary.errors import UsageError

Values = list[Any]
Walk = Callable[[Values], Values]

_PIECE = re.compile(r"\{((?:[^{}\"']|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')*)\}|([^{}]+)")
_KEY = re.compile(r"\.?((?:[^.\[\]\s'\"\\]|\\.)+)")
_INDEX = re.compile(r"\[\s*(-?\d*)\s*(?:(:)\s*(-?\d*)\s*)?\]")
_QUOTED = re.compile(r"\[\s*(['\"])(.*?)\1\s*\]")
_FILTER = re.compile(r"\[\?\(\s*@(.*?)\s*(?:(==|!=|>=|<=|>|<)\s*(.*?)\s*)?\)\]")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    ">": lambda a, b: bool(a > b),
    "<": lambda a, b: bool(a < b),
    ">=": lambda a, b: bool(a >= b),
    "<=": lambda a, b: bool(a <= b),
}


@dataclass(frozen=True, slots=True)
class Text:
    """Printed as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Path:
    """Its values are printed."""

    walk: Walk


@dataclass(frozen=True, slots=True)
class Loop:
    """Its body is printed once per value."""

    walk: Walk
    body: tuple["Part", ...]


Part = Text | Path | Loop


def template(text: str) -> Callable[[Any], str]:
    """What prints a document by this template. Raises UsageError where it cannot be read."""
    source = text if "{" in text else "{" + (text if text[:1] in {".", "["} else f".{text}") + "}"
    parts, rest = _parts(_pieces(source), ended=True)
    if rest:
        raise _unreadable("{end}", "without a {range}")
    return lambda document: "".join(_printed(parts, document))


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Expressions (True) and the text between them (False)."""
    found, at = [], 0
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:
            raise _unreadable(text[at:], "a {expression} is not closed")
        is_code = match[1] is not None
        found.append((match[1].strip() if is_code else match[2], is_code))
        at = match.end()
    return found


def _parts(
    pieces: Sequence[tuple[str, bool]], *, ended: bool
) -> tuple[tuple[Part, ...], Sequence[tuple[str, bool]]]:
    """The parts up to `{end}`, and the pieces behind it."""
    parts: list[Part] = []
    while pieces:
        (piece, is_code), pieces = pieces[0], pieces[1:]
        if not is_code:
            parts.append(Text(piece))
        elif piece == "end":
            return tuple(parts), pieces if not ended else [(piece, is_code)]
        elif piece.startswith("range "):
            body, pieces = _parts(pieces, ended=False)
            parts.append(Loop(_walk(piece.removeprefix("range ").strip()), body))
        elif piece[:1] in {'"', "'"}:
            parts.append(Text(_literal(piece)))
        else:
            parts.append(Path(_walk(piece)))
    if not ended:
        raise _unreadable("{range …}", "its {end} is missing")
    return tuple(parts), ()


def _printed(parts: Sequence[Part], document: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    for part in parts:
        match part:
            case Text(text):
                yield text
            case Path(walk):
                yield " ".join(_words(value) for value in walk([document]))
            case Loop(walk, body):
                for value in walk([document]):
                    yield from _printed(body, value)


def _words(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _walk(path: str) -> Walk:
    rest, steps = path.removeprefix("$").removeprefix("@"), list[Walk]()
    while rest and rest != ".":
        step, length = _step(rest, path)
        steps.append(step)
        rest = rest[length:]

    def walk(values: Values) -> Values:
        for step in steps:
            values = step(values)
        return values

    return walk


def _step(rest: str, path: str) -> tuple[Walk, int]:
    if rest.startswith((".*", "[*]")):
        return _every, 2 if rest[0] == "." else 3
    if match := _QUOTED.match(rest):
        return _key(match[2]), match.end()
    if (match := _INDEX.match(rest)) and (match[1] or match[2]):
        return _slice(match[1], match[2], match[3]), match.end()
    if match := _FILTER.match(rest):
        return _filter(match[1], match[2], match[3]), match.end()
    if rest[0] != "[" and not rest.startswith("..") and (match := _KEY.match(rest)):
        return _key(re.sub(r"\\(.)", r"\1", match[1])), match.end()
    raise _unreadable(path, f"at {rest!r}")


def _every(values: Values) -> Values:
    return [
        one
        for value in values
        for one in (value.values() if isinstance(value, dict) else value)
        if isinstance(value, dict | list)
    ]


def _key(name: str) -> Walk:
    return lambda values: [one[name] for one in values if isinstance(one, dict) and name in one]


def _slice(start: str, colon: str | None, end: str | None) -> Walk:
    low, high = int(start) if start else None, int(end) if end else None
    if colon is None:
        high = low + 1 if low is not None and low != -1 else None
    chosen = slice(low, high)
    return lambda values: [
        one for value in values if isinstance(value, list) for one in value[chosen]
    ]


def _filter(inner: str, compare: str | None, text: str | None) -> Walk:
    walk = _walk(inner)
    wanted = _literal(text) if text else None

    def holds(value: Any) -> bool:  # noqa: ANN401 - any JSON
        found = walk([value])
        if compare is None or not found:
            return bool(found)
        try:
            return _COMPARE[compare](found[0], wanted)
        except TypeError:
            return False

    return lambda values: [
        one for value in values if isinstance(value, list) for one in value if holds(one)
    ]


def _literal(text: str) -> Any:  # noqa: ANN401 - any JSON
    quoted = text[1:-1].replace('"', '\\"') if text[:1] == "'" else None
    try:
        return json.loads(text if quoted is None else f'"{quoted}"')
    except ValueError as error:
        raise _unreadable(text, "a number, true, false or a quoted text is expected") from error


def _unreadable(what: str, why: str) -> UsageError:
    return UsageError(
        f"cannot read the JSONPath {what}: {why}; expected is a template such as "
        "'{.status.phase}' or '{.items[*].metadata.name}'"
    )
