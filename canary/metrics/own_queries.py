"""Applies the policy for custom PromQL: unchanged, confined to the namespace, or rejected.

`confine_expression` adds the namespace to every selector of an expression. It reads tokens as
Prometheus does and classifies each name; it rejects what it cannot classify. The result can
therefore only select series of the namespace:

    sum by (code) (rate(hits{code="500"}[5m])) / sum(rate(hits[5m]))  becomes
    sum by (code) (rate(hits{namespace="prod",code="500"}[5m]))
      / sum(rate(hits{namespace="prod"}[5m]))
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from canary.core.series import SeriesQuery
from canary.errors import UsageError
from canary.metrics.promql import quote_string

NAMESPACE: Final = "namespace"
"""The label that Prometheus' scrape configuration gives to all series of a pod."""


class OwnQueries(StrEnum):
    """Policy of `canary operator` for expressions and selectors that users wrote."""

    OFF = "off"
    """Expressions are rejected; selectors are confined to the release's namespace."""
    ENFORCED = "enforced"
    """Expressions and selectors are confined to the release's namespace."""
    ON = "on"
    """Expressions and selectors are sent unchanged."""


def permit_query(policy: OwnQueries, query: SeriesQuery) -> SeriesQuery:
    """Return the query as the policy permits it for the namespace `query.asker`.

    Raises UsageError if the policy does not permit it.
    """
    if policy is OwnQueries.ON or not query.asker:
        return query
    if query.promql is not None:
        return replace(query, promql=check_expression(policy, query.promql, query.asker))
    member = query.member
    if member is None or member.label != "pod" or member.namespace_label:
        return query  # From a preset, or without labels of other series in its answer.
    confined = replace(member, namespace_label=NAMESPACE, namespace=query.asker)
    return replace(query, member=confined)


def check_expression(policy: OwnQueries, text: str, namespace: str) -> str:
    """Return the expression as the policy permits it. Raises UsageError if it does not."""
    if policy is OwnQueries.OFF:
        raise UsageError(
            "the operator does not run users' own queries (--own-queries=off): use ratio, "
            "latency, clientErrors or pool instead of query"
        )
    return text if policy is OwnQueries.ON else confine_expression(text, namespace)


def confine_expression(text: str, namespace: str) -> str:
    """Return the expression with the namespace in every selector.

    Raises UsageError if it is not certain that this confines it.
    """
    matcher = f"{NAMESPACE}={quote_string(namespace)}"
    return _Confined(_tokenize_query(text), matcher).to_text()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'|`[^`]*`)
    |(?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:ms|[smhdwy]))+(?![0-9a-zA-Z_])
        |(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![0-9a-zA-Z_]))
    |(?P<name>[a-zA-Z_][a-zA-Z0-9_:]*)
    |(?P<sign>=~|!~|==|!=|<=|>=|[-+*/%^<>=@(){}\[\],:])""",
    re.VERBOSE,
)
_LABEL_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_OPERATORS = frozenset({"and", "or", "unless", "atan2", "bool", "offset"})
_NUMBERS = frozenset({"inf", "nan"})
_AGGREGATIONS = frozenset("""
    sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk
    limit_ratio
""".split())  # fmt: skip  # noqa: SIM905 - a list of so many words is easier to read
_FUNCTIONS = frozenset("""
    abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes
    clamp clamp_max clamp_min cos cosh count_over_time day_of_month day_of_week day_of_year
    days_in_month deg delta deriv double_exponential_smoothing exp floor histogram_avg
    histogram_count histogram_fraction histogram_quantile histogram_stddev histogram_stdvar
    histogram_sum holt_winters hour idelta increase irate label_join label_replace
    last_over_time ln log10 log2 mad_over_time max_over_time min_over_time minute month pi
    predict_linear present_over_time quantile_over_time rad rate resets round scalar sgn sin
    sinh sort sort_by_label sort_by_label_desc sort_desc sqrt stddev_over_time stdvar_over_time
    sum_over_time tan tanh time timestamp ts_of_last_over_time ts_of_max_over_time
    ts_of_min_over_time vector year
""".split())  # fmt: skip  # noqa: SIM905 - a list of so many words is easier to read
"""Functions of Prometheus 3 that only read their arguments; `info` reads more."""


def _tokenize_query(text: str) -> list[_Token]:
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _build_refusal(text[position : position + 20], position)
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Token(kind, match.group(), position))
        position = match.end()
    return found


def _build_refusal(found: str, position: int) -> UsageError:
    return UsageError(
        "the query cannot be confined to its namespace (--own-queries=enforced): "
        f"{found!r} at character {position + 1} is not supported"
    )


class _Confined:
    """Reads the tokens of an expression once and rewrites them.

    Words such as `and` or `offset` are metric names where an operand is expected, so the state
    includes whether an operand has just ended.
    """

    def __init__(self, tokens: list[_Token], matcher: str) -> None:
        self._tokens = tokens
        self._matcher = matcher
        self._next = 0
        self._operand_ended = False

    def to_text(self) -> str:
        """Return the whole expression, with parts separated by spaces."""
        return " ".join(self._rewrite_parts())

    def _rewrite_parts(self) -> Iterator[str]:
        while (token := self._peek_token()) is not None:
            match token.kind, token.text:
                case "sign", "{":
                    yield self._rewrite_braces()
                case "sign", "[":
                    yield self._rewrite_brackets()
                case "sign", "}" | "]" | ":" | "=" | "=~" | "!~":
                    raise _build_refusal(token.text, token.at)
                case "name", _:
                    yield self._rewrite_name()
                case _:
                    yield self._take_token().text
                    self._operand_ended = token.kind != "sign" or token.text == ")"

    def _rewrite_name(self) -> str:
        """Rewrite a keyword, a function, a number, or the name of a metric."""
        token, following = self._take_token(), self._peek_text()
        word = token.text.lower()  # keywords and aggregations may be written in any case
        if word in _LABEL_LISTS:
            return self._label_list(token, following)
        if word in _OPERATORS:
            return self._rewrite_operator(token)
        if following == "(":
            return self._rewrite_call(token)
        if word in _AGGREGATIONS:
            if following.lower() in {"by", "without"}:
                return token.text
            raise _build_refusal(token.text, token.at)
        self._operand_ended = True
        if following == "{":
            return f"{token.text}{self._rewrite_braces()}"
        return token.text if word in _NUMBERS else f"{token.text}{{{self._matcher}}}"

    def _label_list(self, token: _Token, following: str) -> str:
        if following == "(":
            return f"{token.text} {self._rewrite_labels()}"
        if token.text.lower() in {"group_left", "group_right"} and not self._operand_ended:
            return token.text
        raise _build_refusal(token.text, token.at)

    def _rewrite_operator(self, token: _Token) -> str:
        compared = self._before_last() in {"==", "!=", "<", ">", "<=", ">="}
        fits = compared if token.text.lower() == "bool" else self._operand_ended
        if not fits:
            raise _build_refusal(token.text, token.at)
        self._operand_ended = False
        return token.text

    def _rewrite_call(self, token: _Token) -> str:
        at = token.text.lower() in {"start", "end"} and self._before_last() == "@"
        if not (at or token.text in _FUNCTIONS or token.text.lower() in _AGGREGATIONS):
            raise _build_refusal(token.text, token.at)
        self._operand_ended = False
        return token.text

    def _before_last(self) -> str:
        """Return the token before the current one."""
        return self._tokens[self._next - 2].text if self._next > 1 else ""

    def _rewrite_braces(self) -> str:
        """Rewrite `{label="value",…}`, also with quoted names as in Prometheus 3."""
        self._expect_token("{")
        conditions = [self._matcher]
        while self._peek_text() != "}":
            conditions.append(self._rewrite_condition())
            if self._peek_text() != "}":
                self._expect_token(",")
        self._expect_token("}")
        self._operand_ended = True
        return f"{{{','.join(conditions)}}}"

    def _rewrite_condition(self) -> str:
        name = self._take_token()
        if name.kind == "string" and self._peek_text() in {",", "}"}:
            return name.text  # the name of a metric
        if name.kind not in {"name", "string"}:
            raise _build_refusal(name.text, name.at)
        sign, value = self._take_token(), self._take_token()
        if sign.text not in {"=", "!=", "=~", "!~"} or value.kind != "string":
            raise _build_refusal(sign.text, sign.at)
        return f"{name.text}{sign.text}{value.text}"

    def _rewrite_labels(self) -> str:
        """Rewrite a list of labels in parentheses."""
        self._expect_token("(")
        names = []
        while self._peek_text() != ")":
            names.append(name := self._take_token())
            if name.kind not in {"name", "string"}:
                raise _build_refusal(name.text, name.at)
            if self._peek_text() != ")":
                self._expect_token(",")
        self._expect_token(")")
        return f"({', '.join(one.text for one in names)})"

    def _rewrite_brackets(self) -> str:
        """Rewrite `[5m]` or `[1h:5m]`: durations only."""
        text = self._expect_token("[").text
        while self._peek_text() != "]":
            token = self._take_token()
            if token.kind != "number" and token.text != ":":
                raise _build_refusal(token.text, token.at)
            text += token.text
        return text + self._expect_token("]").text

    def _peek_token(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _peek_text(self) -> str:
        token = self._peek_token()
        return token.text if token is not None else ""

    def _take_token(self) -> _Token:
        token = self._peek_token()
        if token is None:
            raise _build_refusal("the end", self._tokens[-1].at if self._tokens else 0)
        self._next += 1
        return token

    def _expect_token(self, text: str) -> _Token:
        token = self._take_token()
        if token.text != text:
            raise _build_refusal(token.text, token.at)
        return token
