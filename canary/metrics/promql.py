"""Renders PromQL from data; checks names and escapes values, so that no field can inject PromQL."""

import re
from collections.abc import Iterable

from canary.core.series import Matcher, Selector, SeriesQuery

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def format_promql(query: SeriesQuery) -> str:
    """Return the PromQL of a query.

    Raises ValueError if a metric or label name is invalid, or a value is not valid Unicode.
    """
    if query.promql is not None:
        return _check_unicode(query.promql)
    names = ", ".join(_check_label_name(label) for label in query.by)
    return f"sum by ({names}) ({vector_selector(query.selector, query.also)})"


def range_selector(selector: Selector, seconds: int, also: tuple[str, ...] = ()) -> str:
    """Return `metric{matchers}[Ns]`: every sample of the last N seconds, with its scrape time.

    Raises ValueError as `format_promql` does.
    """
    return f"{vector_selector(selector, also)}[{seconds}s]"


def escape_regex(value: str) -> str:
    """Return a regular expression (Prometheus and Python) that matches exactly this value."""
    return _REGEX_SPECIAL.sub(r"\\\g<0>", value)


def one_of(values: tuple[str, ...]) -> str:
    """Return a regular expression that matches exactly these values, and never the empty one."""
    return "|".join(escape_regex(v) for v in values) if values else "[^\\s\\S]"


def vector_selector(selector: Selector, also: tuple[str, ...] = ()) -> str:
    """Return `metric{matchers}`; with further metrics `{__name__=~"metric|…",matchers}`.

    Raises ValueError as `format_promql` does.
    """
    names = [_check_metric_name(name) for name in (selector.metric, *also)]
    conditions = conditions_text(selector.matchers)
    if also:
        return ",".join((f'{{__name__=~"{"|".join(names)}"', conditions)).rstrip(",") + "}"
    return f"{names[0]}{{{conditions}}}" if conditions else names[0]


def conditions_text(matchers: Iterable[Matcher]) -> str:
    """Return `label="value",other=~"a|b"`, without braces. Raises ValueError as `format_promql`."""
    return ",".join(
        f"{_check_label_name(m.label)}{m.op.value}{quote_string(m.value)}" for m in matchers
    )


def quote_string(value: str) -> str:
    """Return the value as a quoted PromQL string. Raises ValueError for invalid Unicode."""
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        value = value.replace(raw, escaped)
    return f'"{_check_unicode(value)}"'


def _check_metric_name(name: str) -> str:
    if not _METRIC.fullmatch(name):
        raise ValueError(
            f"expected a metric name (letters, digits, _ and :, no leading digit), found {name!r}; "
            "put conditions on labels into the matchers"
        )
    return name


def _check_label_name(label: str) -> str:
    if not _LABEL.fullmatch(label) or label == "__name__":
        raise ValueError(
            f"expected a label name (letters, digits and _, no leading digit), found {label!r}"
        )
    return label


def _check_unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"expected valid Unicode, found {text!r}") from error
    return text
