"""A release's query taken apart: what is asked, and whose series; put together again for many."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from canary.core.series import Matcher, MatchOp, Selector, SeriesQuery
from canary.metrics.promql import literal

_NAMESPACES = frozenset({"namespace", "destination_workload_namespace"})
_KEY = "batch"


@dataclass(frozen=True, slots=True)
class Member:
    """Whose series: those with this namespace whose label matches this pattern."""

    namespace: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Template:
    """A query without whose it is; `space` is the namespace's label, "" where there is none."""

    query: SeriesQuery
    label: str
    space: str

    def of(self, members: Iterable[Member]) -> SeriesQuery:
        """The query for all of these."""
        names = "|".join(sorted({literal(member.namespace) for member in members}))
        patterns = "|".join(sorted({member.pattern for member in members}))
        own = [Matcher(self.space, MatchOp.REGEX, names)] if self.space else []
        own.append(Matcher(self.label, MatchOp.REGEX, patterns))
        minus = self.query.minus
        return replace(
            self.query,
            selector=_with(self.query.selector, own),
            minus=_with(minus, own) if minus else None,
        )


def template_of(query: SeriesQuery) -> tuple[Template, Member] | None:
    """The query as a template, and whose it is; None where that cannot be told apart."""
    if query.promql is not None or not query.by or query.history:
        return None
    label = query.by[0]
    plus = _apart(query.selector, label)
    minus = _apart(query.minus, label) if query.minus else None
    if plus is None or (query.minus and (minus is None or minus[1:] != plus[1:])):
        return None
    rest, space, member = plus
    by = query.by if not space or space in query.by else (*query.by, space)
    bare = SeriesQuery(_KEY, rest, by, minus[0] if minus else None, raw=query.raw)
    return Template(bare, label, space), member


def _apart(selector: Selector, label: str) -> tuple[Selector, str, Member] | None:
    """The selector without its namespace and sides, the namespace's label, and whose it is."""
    labels = [matcher.label for matcher in selector.matchers]
    if labels.count(label) != 1 or sum(labels.count(name) for name in _NAMESPACES) > 1:
        return None
    space, namespace, pattern, rest = "", "", None, []
    for one in selector.matchers:
        if one.label in _NAMESPACES and one.op is MatchOp.EQUAL:
            space, namespace = one.label, one.value
        elif one.label == label and one.op is MatchOp.REGEX:
            pattern = one.value
        else:
            rest.append(one)
    if pattern is None or not _understood(pattern):
        return None
    return Selector(selector.metric, tuple(rest)), space, Member(namespace, pattern)


def _understood(pattern: str) -> bool:
    """Whether we can match it ourselves; inline flags would leak into the others' patterns."""
    try:
        re.compile(pattern)
    except re.error:
        return False
    return "(?" not in pattern.replace("(?:", "")


def _with(selector: Selector, own: Sequence[Matcher]) -> Selector:
    return Selector(selector.metric, (*selector.matchers, *own))
