"""What the queries of many releases have in common, so that one query asks for all of them. Pure.

For example, release `a` asks for `http_requests_total{namespace="a",pod=~"a-1|a-2"}` and for
`pool_size{namespace="a",pod=~"a-1|a-2"}`, release `b` for `http_requests_total{namespace="b",…}`.
All three have the same template: they differ in the metric and in the member only. Merged:

    {__name__=~"http_requests_total|pool_size",namespace=~"a|b",pod=~"a-1|a-2|b-1"}

That may select more than anybody asked for (here `pool_size` of `b`), and the answer is taken
apart by metric and member, so nobody gets what another release asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from canary.core.series import Matcher, MatchOp, Member, Selector, SeriesQuery
from canary.metrics.promql import literal


@dataclass(frozen=True, slots=True)
class QueryTemplate:
    """A raw query without metric and member; `namespace_label` is "" where there is none."""

    matchers: tuple[Matcher, ...]
    label: str
    namespace_label: str


@dataclass(frozen=True, slots=True)
class QueryPart:
    """What one query asks of a template; `asker` as in SeriesQuery."""

    metric: str
    member: Member
    asker: str


def template_of(query: SeriesQuery) -> tuple[QueryTemplate, QueryPart] | None:
    """The template of a query, and its part of it; None: it is not to be merged."""
    member = query.member
    if member is None or not query.raw or query.history or query.also:
        return None
    template = QueryTemplate(query.template.matchers, member.label, member.namespace_label)
    return template, QueryPart(query.template.metric, member, query.asker)


def merge(template: QueryTemplate, parts: Iterable[QueryPart], asker: str = "") -> SeriesQuery:
    """One query for at least one part."""
    every = list(parts)
    first, *also = sorted({part.metric for part in every})
    own = [Matcher(template.label, MatchOp.REGEX, _any(part.member.pattern for part in every))]
    if template.namespace_label:
        names = _any(literal(part.member.namespace) for part in every)
        own.insert(0, Matcher(template.namespace_label, MatchOp.REGEX, names))
    selector = Selector(first, (*template.matchers, *own))
    by = (template.label,)
    return SeriesQuery("merged", selector, by, raw=True, also=tuple(also), asker=asker)


def _any(patterns: Iterable[str]) -> str:
    return "|".join(sorted(set(patterns)))
