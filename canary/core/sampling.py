"""Turns the answers of a metric source into samples: requests and gauges per round.

Example, one pod with a counter of requests and one of errors, in rounds that end at 10 and 20:

    requests  0 s: 100   10 s: 160   20 s: 200      ->  60 and 40 requests
    errors               10 s:   1   20 s:   1      ->   1 and  0 bad ones: the series appeared
                                                        with the first error, so it began at 0
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from canary.core.buckets import (
    LE,
    SlowThreshold,
    explain_missing_buckets,
    find_nearest_bound,
    normalize_bounds,
    select_bound,
)
from canary.core.duplicate_scrapes import SCRAPE_LABELS
from canary.core.increments import Counters, Labels, Side, SideOf, count_increments
from canary.core.pools.samples import find_distinguishing_labels
from canary.core.rounds import Rounds, ScrapeTimes, collect_scrape_times, find_rounds
from canary.core.series import (
    FoundSeries,
    Matcher,
    MatchOp,
    MetricAnswer,
    NoData,
    Selector,
    Series,
    Unavailable,
)
from canary.core.snapshot import PoolSamples, RatioSamples, Samples
from canary.text.regex import full_match

MAX_POOLS = 1000
"""Maximum number of pools per release; `python -m bench.wide` prints the cost."""
_CODE = re.compile(r"[0-9]{1,3}|[0-9][xX]{2}")
_STATUS = re.compile(r"[1-5](?:[0-9]{2}|[xX]{2})")
_WANTS_CODES = re.compile(r"\(?[1-5](?:[.0-9xX]|\[|$)")


@dataclass(frozen=True, slots=True)
class RatioAnswers:
    """Raw answers of one ratio: requests, and bad requests, good requests or matchers for bad ones.

    `matchers` are conditions by which series of `total` count bad requests.
    """

    metric: str
    """Name of the counter of all requests."""
    total: MetricAnswer
    label: str
    side_of: SideOf
    matchers: tuple[Matcher, ...] = ()
    bad: MetricAnswer | None = None
    good: MetricAnswer | None = None
    started: Mapping[str, float] = field(default_factory=dict)
    bad_is: Selector | None = None
    known: MetricAnswer | None = None
    """Series of the metric of `bad`, of any release, by their labels."""
    slow: SlowThreshold | None = None
    """With it `good` has the buckets of a histogram: requests above the nearest bound are bad."""


@dataclass(frozen=True, slots=True)
class PoolAnswers:
    """Raw answers of one pool; None if the exporter has no such series.

    `by` has the labels that identify a pool; with `apart` all others in which series differ are
    added. See PoolSamples for the rest.
    """

    in_use: MetricAnswer
    maximum: MetricAnswer | float
    by: tuple[str, ...]
    label: str
    side_of: SideOf
    idle: MetricAnswer | None = None
    waiting: MetricAnswer | None = None
    timeouts: MetricAnswer | None = None
    hold: MetricAnswer | None = None
    hold_unit: float = 1.0
    apart: bool = True


RawAnswers = RatioAnswers | PoolAnswers
MetricSamples = RatioSamples | PoolSamples | MetricAnswer


def sample_metric(answers: RawAnswers | MetricAnswer, rounds: Rounds) -> MetricSamples:
    """Return the samples of one metric; those of a custom query end with the rounds."""
    match answers:
        case RatioAnswers():
            return sample_ratio(answers, rounds)
        case PoolAnswers():
            return sample_pool(answers, rounds)
        case FoundSeries(series) if len(series) > 1:
            return NoData(f"{_ONE_VALUE}, found {len(series):,} or more", partial=True)
        case FoundSeries(series):
            return FoundSeries(tuple(_cut_series(one, rounds.end) for one in series))
        case _:
            return answers


_ONE_VALUE = "expected one value from the query: put sum(…) or max(…) around the expression"


def _cut_series(series: Series, end: float) -> Series:
    return replace(series, points=series.points[: bisect_right(series.points, (end, inf))])


def build_samples(
    answers: Mapping[str, RawAnswers | MetricAnswer], since: float, end: float, shortest: float
) -> Samples:
    """Return what was scraped after `since` (seconds), in rounds of at least `shortest` seconds.

    Custom queries have no scrape times; without other metrics the rounds are fixed steps.
    """
    counted = [one for one in answers.values() if isinstance(one, RatioAnswers | PoolAnswers)]
    if counted:
        found = find_metric_rounds(counted, since, end, shortest)
    else:
        count = int((end - since) // shortest)
        found = Rounds(since, tuple(since + i * shortest for i in range(1, count + 1)))
    return Samples(found, since, {name: sample_metric(one, found) for name, one in answers.items()})


def find_metric_rounds(
    answers: Iterable[RawAnswers], start: float, end: float, shortest: float
) -> Rounds:
    """Return the rounds of scrapes: those of the canary's targets, once it has some.

    If a metric counts the canary's requests, only its scrapes end a round: the answer of a router
    must not wait for pods whose pages have nothing but pool gauges.
    """
    every = list(answers)
    counting = [one for one in every if isinstance(one, RatioAnswers) and _counts_canary(one)]
    leading: dict[Side, dict[Hashable, list[float]]] = {side: {} for side in Side}
    for one in counting or every:
        answer = one.total if isinstance(one, RatioAnswers) else one.in_use
        series = answer.series if isinstance(answer, FoundSeries) else ()
        every_time = collect_scrape_times(series)
        for side in Side:
            mine = [s for s in series if one.side_of(s.labels.get(one.label, "")) is side]
            for target, own in collect_scrape_times(mine).items():
                # A router stops exporting the canary without traffic, but its scrapes continue.
                times = sorted({*own, *(t for t in every_time[target] if t >= own[0])})
                known = leading[side].setdefault(target, times)
                leading[side][target] = max(known, times, key=len)
    return find_rounds(
        _join_scrape_times(leading[Side.CANARY], leading[Side.STABLE]), start, end, shortest
    )


def _counts_canary(answers: RatioAnswers) -> bool:
    series = answers.total.series if isinstance(answers.total, FoundSeries) else ()
    return any(answers.side_of(one.labels.get(answers.label, "")) is Side.CANARY for one in series)


def _join_scrape_times(canary: ScrapeTimes, stable: ScrapeTimes) -> ScrapeTimes:
    """Return the canary's scrape times, and stable's before the canary existed."""
    begin = min((times[0] for times in canary.values()), default=float("inf"))
    before = {target: [t for t in times if t < begin] for target, times in stable.items()}
    both: dict[Hashable, Sequence[float]] = {("stable", key): one for key, one in before.items()}
    return both | {("canary", key): one for key, one in canary.items()}


def sample_ratio(answers: RatioAnswers, rounds: Rounds) -> RatioSamples:
    """Return the requests per round and pod, or why nothing can be counted."""
    if not isinstance(answers.total, FoundSeries):
        return RatioSamples(answers.total)
    if answers.slow is not None:
        return _sample_slow_requests(answers, answers.slow, rounds)
    if (blind := explain_uncountable(answers)) is not None:
        return RatioSamples(blind)
    matchers = answers.matchers
    counters = Counters(
        answers.total.series,
        answers.label,
        answers.side_of,
        (lambda labels: _all_match(matchers, labels)) if matchers else None,
        normalize_bounds(answers.bad.series) if isinstance(answers.bad, FoundSeries) else (),
        normalize_bounds(answers.good.series) if isinstance(answers.good, FoundSeries) else None,
        answers.started,
    )
    return RatioSamples(count_increments(counters, rounds))


def _sample_slow_requests(
    answers: RatioAnswers, slow: SlowThreshold, rounds: Rounds
) -> RatioSamples:
    """Count the requests above the nearest bound as bad; the result names that bound."""
    bound = _find_bound(answers, slow)
    if isinstance(bound, NoData | Unavailable):
        return RatioSamples(bound)
    good = answers.good
    if isinstance(good, FoundSeries):
        good = replace(good, series=select_bound(good.series, bound))
    fast = sample_ratio(replace(answers, slow=None, good=good), rounds)
    return RatioSamples(fast.ticks, slow.format_bound(bound))


def _find_bound(answers: RatioAnswers, slow: SlowThreshold) -> float | NoData | Unavailable:
    if not isinstance(answers.good, FoundSeries):
        return explain_missing_buckets(
            answers.good or NoData("the metric has no query for buckets")
        )
    return find_nearest_bound(answers.good.series, answers.label, answers.side_of, slow)


def explain_uncountable(answers: RatioAnswers) -> NoData | Unavailable | None:
    """Return why no request could ever count as bad, or as good; None if they can.

    A good version has no series of errors yet, which is no reason. A counter of good requests
    exists from the first request.
    """
    total = answers.total.series if isinstance(answers.total, FoundSeries) else ()
    if (odd := _explain_unreadable_counter(answers)) is not None:
        return odd
    if answers.slow is not None:
        bound = _find_bound(answers, answers.slow)
        return None if isinstance(bound, float) else bound
    if isinstance(answers.good, NoData | Unavailable):
        return _explain_missing_good(answers.metric, answers.good)
    bad = answers.bad
    if isinstance(bad, NoData) and not bad.partial:
        return _explain_unknown_counter(answers)
    if isinstance(bad, NoData | Unavailable):
        return bad
    return _explain_unmatched_side(answers, total)


def _explain_unmatched_side(answers: RatioAnswers, total: Sequence[Series]) -> NoData | None:
    """Check each side: a canary with another label for the status would seem never to fail."""
    for side in Side:
        own = [
            one.labels
            for one in total
            if answers.side_of(one.labels.get(answers.label, "")) is side
        ]
        if own and (why := explain_unmatched(answers.metric, answers.matchers, own)):
            return replace(why, why=f"{side}: {why.why}")
    return None


def _explain_unreadable_counter(answers: RatioAnswers) -> NoData | None:
    """Return which counters are NaN, or lack the buckets of others; both would be miscounted."""
    counters = {"requests": answers.total, "bad requests": answers.bad, "good ones": answers.good}
    for what, answer in counters.items():
        if names := list_not_numbers(answer, answers.label, answers.side_of):
            return NoData(f"the counter of {what} of {_NOT_A_NUMBER.format(names)}", partial=True)
    if names := _list_without_buckets(answers):
        return NoData(
            f"{answers.metric} counts requests of {names}, but its histogram has no buckets "
            "there: all of them would look bad",
            partial=True,
        )
    return None


def _list_without_buckets(answers: RatioAnswers) -> str:
    """Return the names with requests but no bucket, if others have buckets; else an empty text.

    A bucket exists from the first request; a counter of good requests may start later.
    """
    good = answers.good.series if isinstance(answers.good, FoundSeries) else ()
    if not any(LE in one.labels for one in good):
        return ""
    total = answers.total.series if isinstance(answers.total, FoundSeries) else ()
    whose = {one.labels.get(answers.label, "") for one in total}
    whose -= {one.labels.get(answers.label, "") for one in good}
    return ", ".join([name for name in sorted(whose) if answers.side_of(name)][:3])


_NOT_A_NUMBER = "{} is NaN or infinite: check its exporter"


def list_not_numbers(
    answer: MetricAnswer | None, label: str, side_of: Callable[[str], object]
) -> str:
    """Return the names whose newest value is not a number, as a list; empty if there are none.

    Without them a count would be too small, and a pool that may be full would be missing.
    """
    labels = answer.not_numbers if isinstance(answer, FoundSeries) else ()
    names = sorted({one.get(label, "") for one in labels})
    return ", ".join([name for name in names if side_of(name)][:3])


def _explain_missing_good(metric: str, good: NoData | Unavailable) -> NoData | Unavailable:
    if isinstance(good, Unavailable) or good.partial:
        return good
    return NoData(
        f"{metric} counts requests, but the counter of good ones has no series: "
        f"check its name and its labels ({good.why})"
    )


def _explain_unknown_counter(answers: RatioAnswers) -> NoData | None:
    """Return why the counter of bad requests will never appear; None if it may."""
    selector = answers.bad_is
    if selector is None:
        return None
    match answers.known:
        case NoData(partial=False):
            return NoData(
                f"the monitoring system has no series {selector.metric} at all: check its name. "
                "If it appears only with the first error, count bad requests by a label of "
                "the requests"
            )
        case FoundSeries(series):
            own = [one for one in selector.matchers if one.label not in {"pod", "namespace"}]
            return explain_unmatched(
                selector.metric, own, [one.labels for one in series], shown=False
            )
        case _:
            return None


def explain_unmatched(
    metric: str,
    matchers: Sequence[Matcher],
    series: Sequence[Mapping[str, str]],
    *,
    shown: bool = True,
) -> NoData | None:
    """Return why these matchers can select no bad request among series with such labels.

    Values are not `shown` where the series may be other people's.
    """
    for one in matchers:
        values = {labels.get(one.label, "") for labels in series} - {""}
        if not values and one.op in {MatchOp.EQUAL, MatchOp.REGEX}:
            return NoData(
                f"no series of {metric} has the label {one.label!r}, which identifies bad "
                f"requests: none would ever count as bad{_suggest_label(one, series)}"
            )
        if values and expects_codes(one) and not any(map(is_status_code, values)):
            some = ", ".join(repr(value) for value in sorted(values)[:3])
            return NoData(
                f"the label {one.label!r} of {metric} has no status codes such as 500 or 5xx"
                f"{f', but {some}' if shown else ''}: {one.label}{one.op.value}{one.value!r} "
                "would never match"
            )
    return None


def _suggest_label(matcher: Matcher, series: Sequence[Mapping[str, str]]) -> str:
    """Suggest the label that has status codes, if the matcher expects them."""
    names = sorted({name for labels in series for name in labels})
    coded = [name for name in names if all(_STATUS.fullmatch(one.get(name, "")) for one in series)]
    if not coded or not expects_codes(matcher):
        return ""
    return f" (the label {coded[0]!r} has status codes: count by it with total and bad)"


def expects_codes(matcher: Matcher) -> bool:
    """Return whether a matcher expects status codes such as 5.. or 500."""
    asks = matcher.op in {MatchOp.EQUAL, MatchOp.REGEX}
    return asks and _WANTS_CODES.match(matcher.value) is not None


def is_status_code(value: str) -> bool:
    """Return whether the value is a status code (500) or a class of them (5xx, 5)."""
    return _CODE.fullmatch(value) is not None


def matcher_matches(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """Return whether labels satisfy a matcher; a missing label is an empty one."""
    value = labels.get(matcher.label, "")
    match matcher.op:
        case MatchOp.EQUAL:
            return value == matcher.value
        case MatchOp.NOT_EQUAL:
            return value != matcher.value
        case MatchOp.REGEX:
            return full_match(matcher.value, value)
        case MatchOp.NOT_REGEX:
            return not full_match(matcher.value, value)


def selector_matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Return whether the selector selects a series with these labels."""
    return _all_match(selector.matchers, labels)


def _all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher_matches(one, labels) for one in matchers)


def sample_pool(answers: PoolAnswers, rounds: Rounds) -> PoolSamples:
    """Return the pool's gauges and counters at the end of each round; counters never fall."""
    by = answers.by
    if answers.apart and isinstance(answers.in_use, FoundSeries):
        by = find_distinguishing_labels((one.labels for one in answers.in_use.series), by)

    def gauge(answer: MetricAnswer) -> MetricAnswer:
        return _map_series(answer, lambda series: _sum_gauges(series, by, rounds))

    def counter(answer: MetricAnswer | None) -> MetricAnswer | None:
        return answer and _map_series(answer, lambda found: _sum_counters(found, by, rounds))

    maximum = answers.maximum
    in_use = _subtract_idle(gauge(answers.in_use), answers.idle and gauge(answers.idle))
    return PoolSamples(
        _explain_too_many_pools(answers.in_use, by) or _explain_unreadable_gauge(answers) or in_use,
        maximum if isinstance(maximum, float | int) else gauge(maximum),
        answers.waiting and gauge(answers.waiting),
        counter(answers.timeouts),
        counter(answers.hold),
        answers.hold_unit,
        answers.label,
        answers.side_of,
    )


def _explain_too_many_pools(answer: MetricAnswer, by: Sequence[str]) -> NoData | None:
    """Return why there are too many pools: cost and state grow with their number."""
    series = answer.series if isinstance(answer, FoundSeries) else ()
    count = len({_group_key(one, by) for one in series})
    if count <= MAX_POOLS:
        return None
    return NoData(
        f"found {count:,} pools, but at most {MAX_POOLS:,} can be analyzed: is there a label "
        "with a value per connection?",
        partial=True,
    )


def _explain_unreadable_gauge(answers: PoolAnswers) -> NoData | None:
    """Return which gauge of the canary is not a number: that pool may be leaking."""

    def canarys(name: str) -> bool:
        return answers.side_of(name) is Side.CANARY

    maximum = None if isinstance(answers.maximum, float | int) else answers.maximum
    gauges = {"pool": answers.in_use, "pool's idle": answers.idle, "pool's maximum": maximum}
    for what, answer in gauges.items():
        if names := list_not_numbers(answer, answers.label, canarys):
            return NoData(f"the {what} gauge of {_NOT_A_NUMBER.format(names)}", partial=True)
    return None


def _map_series(
    answer: MetricAnswer, change: Callable[[Sequence[Series]], list[Series]]
) -> MetricAnswer:
    if not isinstance(answer, FoundSeries):
        return answer
    found = change(answer.series)
    return FoundSeries(tuple(found)) if found else NoData("nothing was scraped in this range")


def _sum_gauges(series: Sequence[Series], by: Sequence[str], rounds: Rounds) -> list[Series]:
    """Sum the last scrape of each round per group; two scrapes of one gauge count once."""
    groups: dict[Labels, dict[float, dict[Hashable, tuple[float, float]]]] = {}
    for one in series:
        group, who = _group_key(one, by), _series_identity(one)
        times = groups.setdefault(group, {})
        for end, time, value in _last_in_rounds(one, rounds):
            values = times.setdefault(end, {})
            values[who] = max(values.get(who, (time, value)), (time, value))
    return [
        Series(
            dict(group),
            tuple((t, sum(v for _, v in some.values())) for t, some in sorted(times.items())),
        )
        for group, times in groups.items()
        if times
    ]


def _sum_counters(series: Sequence[Series], by: Sequence[str], rounds: Rounds) -> list[Series]:
    """Return the count of each group since the start of the range, at the end of each round."""
    label = by[0]
    whole = Rounds(float("-inf"), (rounds.start, *rounds.ends))
    groups: dict[Labels, list[Series]] = {}
    for one in series:
        groups.setdefault(_group_key(one, by), []).append(one)
    found = []
    for group, members in groups.items():
        ticks = count_increments(Counters(members, label, lambda _: Side.STABLE), whole)
        seen = {end for one in members for end, _, _ in _last_in_rounds(one, rounds)}
        counted, points = 0.0, []
        for tick in () if isinstance(ticks, NoData) else ticks:
            counted += tick.total(Side.STABLE)
            points.append((tick.end, counted))
        kept = tuple(point for point in points if point[0] in seen)
        if kept:
            found.append(Series(dict(group), kept))
    return found


def _last_in_rounds(series: Series, rounds: Rounds) -> Iterator[tuple[float, float, float]]:
    """Yield (end of round, time, value) of the last scrape before the first round and in each."""
    points, last = series.points, None
    first = bisect_right(points, (rounds.start, inf)) - 1
    if first >= 0:
        yield rounds.start, *points[first]
    for time, value in points[first + 1 :]:
        if time > rounds.end:
            break
        end = rounds.ends[bisect_left(rounds.ends, time)]
        if last is not None and last[0] != end:
            yield last
        last = end, time, value
    if last is not None:
        yield last


def _subtract_idle(answer: MetricAnswer, idle: MetricAnswer | None) -> MetricAnswer:
    """Return `answer − idle` at the times at which both have a value."""
    if idle is None or not isinstance(answer, FoundSeries):
        return answer
    if not isinstance(idle, FoundSeries):
        return idle
    known = {frozenset(one.labels.items()): dict(one.points) for one in idle.series}
    found = []
    for one in answer.series:
        less = known.get(frozenset(one.labels.items()), {})
        points = tuple((t, value - less[t]) for t, value in one.points if t in less)
        if points:
            found.append(Series(one.labels, points))
    return FoundSeries(tuple(found)) if found else NoData("no pool has both gauges")


def _group_key(series: Series, by: Sequence[str]) -> Labels:
    return tuple(sorted((name, value) for name in by if (value := series.labels.get(name))))


def _series_identity(series: Series) -> Hashable:
    """Return the labels without those of the scrape, but with the address."""
    labels = series.labels.items()
    kept = frozenset(item for item in labels if item[0] not in SCRAPE_LABELS)
    return series.labels.get("instance"), kept
