"""Merges queries of many releases into one by their common template. Pure.

For example, release `a` reads `http_requests_total{namespace="a",pod=~"a-1|a-2"}` and
`pool_size{namespace="a",pod=~"a-1|a-2"}`, release `b` reads `http_requests_total{namespace="b",…}`.
All three have the same template: only metric and member differ. Merged:

    {__name__=~"http_requests_total|pool_size",namespace=~"a|b",pod=~"a-1|a-2|b-1"}

The merged query may select more than was requested (here `pool_size` of `b`). The answer is split
by metric and member, so that each release only gets its own series.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from canary.core.series import Matcher, MatchOp, Member, Selector, SeriesQuery
from canary.metrics.promql import escape_regex


@dataclass(frozen=True, slots=True)
class QueryTemplate:
    """A raw query without metric and member; `namespace_label` is "" if there is none."""

    matchers: tuple[Matcher, ...]
    label: str
    namespace_label: str


@dataclass(frozen=True, slots=True)
class QueryPart:
    """The metric and member of a query in a template; `asker` as in SeriesQuery."""

    metric: str
    member: Member
    asker: str


def template_of(query: SeriesQuery) -> tuple[QueryTemplate, QueryPart] | None:
    """Return the template of a query, and its part of it; None if it cannot be merged."""
    member = query.member
    if member is None or not query.raw or query.history or query.also:
        return None
    template = QueryTemplate(query.template.matchers, member.label, member.namespace_label)
    return template, QueryPart(query.template.metric, member, query.asker)


def merge_parts(
    template: QueryTemplate, parts: Iterable[QueryPart], asker: str = ""
) -> SeriesQuery:
    """Return one query for all parts (at least one)."""
    every = list(parts)
    first, *also = sorted({part.metric for part in every})
    own = [
        Matcher(
            template.label, MatchOp.REGEX, _join_patterns(part.member.pattern for part in every)
        )
    ]
    if template.namespace_label:
        names = _join_patterns(escape_regex(part.member.namespace) for part in every)
        own.insert(0, Matcher(template.namespace_label, MatchOp.REGEX, names))
    selector = Selector(first, (*template.matchers, *own))
    by = (template.label,)
    return SeriesQuery("merged", selector, by, raw=True, also=tuple(also), asker=asker)


def _join_patterns(patterns: Iterable[str]) -> str:
    return "|".join(sorted(set(patterns)))
