"""Parses PromQL vector selectors of a spec into data."""

import re
from decimal import Decimal

from canary.core.series import Matcher, MatchOp, Selector
from canary.errors import UsageError
from canary.text.regex import RegexError, check_regex

_METRIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*")
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*"""
)
_END = re.compile(r"\s*\}\s*")
_ESCAPE = re.compile(r"\\(.)")
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def parse_selector(text: str) -> Selector:
    """Parse `name{label="value",other=~"a|b"}`.

    Raises:
        UsageError: the text is something else, such as a function, a range or two selectors.
    """
    name = _METRIC.match(text)
    if name is None:
        raise _build_syntax_error(text, 0, "a metric name")
    position = name.end()
    matchers: tuple[Matcher, ...] = ()
    if text[position : position + 1] == "{":
        matchers, position = _parse_matchers(text, position + 1)
    if text[position:].strip():
        raise _build_syntax_error(text, position, "the end of the selector")
    return Selector(name.group(1), matchers)


def _parse_matchers(text: str, position: int) -> tuple[tuple[Matcher, ...], int]:
    found: list[Matcher] = []
    while not (end := _END.match(text, position)):
        match = _MATCHER.match(text, position)
        if match is None:
            raise _build_syntax_error(text, position, 'label="value"')
        label, op, quoted = match.groups()
        value = _ESCAPE.sub(lambda m: _ESCAPED.get(m.group(1), m.group(1)), quoted[1:-1])
        if op in {"=~", "!~"}:
            _check_regex(text, value)
        found.append(_by_number(Matcher(label, MatchOp(op), value)))
        position = match.end()
        if text[position : position + 1] == ",":
            position += 1
        elif text[position : position + 1] != "}":
            raise _build_syntax_error(text, position, "a comma or }")
    return tuple(found), end.end()


def _by_number(matcher: Matcher) -> Matcher:
    """Return a regular expression of a bucket's bound: Prometheus 3 writes le="1.0", 2 le="1"."""
    ops = {MatchOp.EQUAL: MatchOp.REGEX, MatchOp.NOT_EQUAL: MatchOp.NOT_REGEX}
    if matcher.label != "le" or matcher.op not in ops or not _NUMBER.fullmatch(matcher.value):
        return matcher
    sign, digits, exponent = Decimal(matcher.value).normalize().as_tuple()
    if not isinstance(exponent, int) or sign or digits == (0,):
        return matcher
    text = "".join(map(str, digits))
    power = len(text) - 1 + exponent
    plain = format(Decimal(matcher.value).normalize(), "f")
    whole, _, rest = plain.partition(".")
    decimal = f"{whole}\\.{rest}0*" if rest else f"{whole}(?:\\.0*)?"
    mantissa = f"{text[0]}\\.{text[1:]}0*" if text[1:] else f"{text[0]}(?:\\.0*)?"
    sign_of_power = "-" if power < 0 else r"\+?"
    scientific = f"{mantissa}e{sign_of_power}0*{abs(power)}"
    return Matcher("le", ops[matcher.op], f"{decimal}|{scientific}")


def _check_regex(text: str, value: str) -> None:
    try:
        check_regex(value)
    except RegexError as error:
        raise UsageError(
            f"{value[:200]!r} in {text[:200]!r} is not a regular expression: {error}"
        ) from error


def _build_syntax_error(text: str, position: int, expected: str) -> UsageError:
    found = repr(text[position : position + 20]) if text[position:].strip() else "the end"
    return UsageError(
        f'expected a counter\'s selector such as http_requests_total{{job="auth"}}, but in '
        f"{text[:200]!r} expected {expected} at character {position + 1}, found {found}"
    )
