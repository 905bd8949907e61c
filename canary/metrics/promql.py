"""Query text from data: names are checked, values escaped, so that no field can inject PromQL."""

import re
from collections.abc import Iterable

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
    names = ", ".join(_name(label) for label in query.by)
    return f"sum by ({names}) ({vector_selector(query.selector, query.also)})"


def range_selector(selector: Selector, seconds: int, also: tuple[str, ...] = ()) -> str:
    """`metric{matchers}[Ns]`: every sample of the last N seconds, with the time of its scrape.

    Raises ValueError as `promql` does.
    """
    return f"{vector_selector(selector, also)}[{seconds}s]"


def literal(value: str) -> str:
    """A regular expression (of Prometheus and of Python alike) that matches just this value."""
    return _REGEX_SPECIAL.sub(r"\\\g<0>", value)


def one_of(values: tuple[str, ...]) -> str:
    """A regular expression that matches these values and nothing else, not even the empty one."""
    return "|".join(literal(v) for v in values) if values else "[^\\s\\S]"


def vector_selector(selector: Selector, also: tuple[str, ...] = ()) -> str:
    """`metric{matchers}`; with further metrics `{__name__=~"metric|…",matchers}`.

    Raises ValueError as `promql` does.
    """
    names = [_metric(name) for name in (selector.metric, *also)]
    conditions = conditions_text(selector.matchers)
    if also:
        return ",".join((f'{{__name__=~"{"|".join(names)}"', conditions)).rstrip(",") + "}"
    return f"{names[0]}{{{conditions}}}" if conditions else names[0]


def conditions_text(matchers: Iterable[Matcher]) -> str:
    """`label="value",other=~"a|b"`: what stands between braces. Raises ValueError as `promql`."""
    return ",".join(f"{_name(m.label)}{m.op.value}{quoted(m.value)}" for m in matchers)


def quoted(value: str) -> str:
    """The value as a string of PromQL, with its quotes. ValueError for invalid Unicode."""
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        value = value.replace(raw, escaped)
    return f'"{_unicode(value)}"'


def _metric(name: str) -> str:
    if not _METRIC.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a metric name: letters, digits, _ and : only, "
            "not a digit first; conditions on labels belong into the matchers"
        )
    return name


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
