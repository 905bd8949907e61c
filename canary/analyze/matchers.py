"""Parses label matchers as people type them. They select the series of a version. Pure."""

import re

from canary.core.series import Matcher, MatchOp
from canary.errors import UsageError
from canary.metrics.promql import conditions_text
from canary.text.regex import RegexError, check_regex

_LABEL = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*")
_QUOTED = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""")
# A shell removes quotes: `version="v2"` arrives as `version=v2`, which PromQL would reject.
_BARE = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.:/@-]*")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_NEXT = re.compile(r"\s*(,\s*|$)")
_EXAMPLE = """label matchers such as 'version="v2",namespace="prod"'"""


def parse_matchers(text: str, option: str) -> tuple[Matcher, ...]:
    """Return the matchers of `version="v2",pod=~"auth-.*"` in order; braces around it are allowed.

    Raises:
        UsageError: the text is invalid; the message names option, position and value.
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    found: list[Matcher] = []
    position = 0
    inner = inner.strip()
    while position < len(inner):
        matcher, position = _parse_matcher(inner, position, option)
        found.append(matcher)
        if (end := _NEXT.match(inner, position)) is None:
            raise _syntax_error(option, inner, position, "a comma")
        position = end.end()
    if not found:
        raise UsageError(f"{option}: expected {_EXAMPLE}, found {text[:200]!r}")
    return tuple(found)


def format_matchers(matchers: tuple[Matcher, ...]) -> str:
    """Format matchers so that they can be typed as an option."""
    return conditions_text(matchers)


def _parse_matcher(text: str, position: int, option: str) -> tuple[Matcher, int]:
    head = _LABEL.match(text, position)
    if head is None:
        raise _syntax_error(option, text, position, "a label and =, !=, =~ or !~")
    label, op = head.group(1), MatchOp(head.group(2))
    if label == "__name__":
        raise UsageError(
            f"{option}: expected label matchers without a metric name: select the metric by "
            "--metric, or by --total and --bad"
        )
    value, end = _parse_value(text, head.end(), option)
    if op in {MatchOp.REGEX, MatchOp.NOT_REGEX}:
        _check_regex(value, option)
    return Matcher(label, op, value), end


def _parse_value(text: str, position: int, option: str) -> tuple[str, int]:
    if quoted := _QUOTED.match(text, position):
        inside = quoted.group(1) if quoted.group(1) is not None else quoted.group(2)
        return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), inside), quoted.end()
    if bare := _BARE.match(text, position):
        return bare.group(), bare.end()
    raise _syntax_error(option, text, position, "a value in quotes")


def _check_regex(value: str, option: str) -> None:
    try:
        check_regex(value)
    except RegexError as error:
        raise UsageError(
            f"{option}: {value[:200]!r} is not a regular expression: {error}"
        ) from error


def _syntax_error(option: str, text: str, position: int, expected: str) -> UsageError:
    rest = text[position : position + 20]
    found = repr(rest) if rest.strip() else "the end"
    return UsageError(
        f"{option}: expected {_EXAMPLE}, but in {text[:200]!r} {expected} is missing "
        f"at character {position + 1}, found {found}"
    )
