"""Query text from data: names are checked, values escaped, so that no field can inject PromQL."""

import re

from canary.core.series import Matcher, Selector, SeriesQuery

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def promql(query: SeriesQuery) -> str:
    """The text that Prometheus gets for one query.

    Raises ValueError when a metric or label name is none, or a value is not valid Unicode.
    """
    if query.promql is not None:
        return _unicode(query.promql)
    text = _sum(query.selector, query.by)
    return text if query.minus is None else f"{text} - {_sum(query.minus, query.by)}"


def range_selector(selector: Selector, seconds: int) -> str:
    """`metric{matchers}[Ns]`: every sample of the last N seconds, with the time of its scrape.

    Raises ValueError as `promql` does.
    """
    return f"{vector_selector(selector)}[{seconds}s]"


def literal(value: str) -> str:
    """A regular expression (of Prometheus and of Python alike) that matches just this value."""
    return _REGEX_SPECIAL.sub(r"\\\g<0>", value)


def one_of(values: tuple[str, ...]) -> str:
    """A regular expression that matches these values and nothing else, not even the empty one."""
    return "|".join(literal(v) for v in values) if values else "[^\\s\\S]"


def _sum(selector: Selector, by: tuple[str, ...]) -> str:
    names = ", ".join(_name(label) for label in by)
    return f"sum by ({names}) ({vector_selector(selector)})"


def vector_selector(selector: Selector) -> str:
    """`metric{matchers}`. Raises ValueError as `promql` does."""
    if not _METRIC.fullmatch(selector.metric):
        raise ValueError(
            f"{selector.metric!r} is not a metric name: letters, digits, _ and : only, "
            "not a digit first; conditions on labels belong into the matchers"
        )
    return f"{selector.metric}{{{','.join(_matcher(m) for m in selector.matchers)}}}"


def _matcher(matcher: Matcher) -> str:
    value = _unicode(matcher.value)
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        value = value.replace(raw, escaped)
    return f'{_name(matcher.label)}{matcher.op.value}"{value}"'


def _name(label: str) -> str:
    if not _LABEL.fullmatch(label) or label == "__name__":
        raise ValueError(
            f"{label!r} is not a label name: letters, digits and _ only, not a digit first"
        )
    return label


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is not valid Unicode") from error
    return text
