"""Alerts on connection pools: common metric names for all exporters, the leak residual, alerts.

The residual follows from Little's law (Little 1961), as in canary.core.pools.detector: connections
in use beyond rate × hold time are never returned. Throughput cancels out, so a traffic surge does
not forecast an exhaustion. Without an exporter's hold times there is no forecast.
"""

from collections.abc import Iterable, Iterator

from canary.alerts.model import Alert, AlertSettings, RecordingRule, RuleGroup, Severity, Team
from canary.core.pools.samples import SCRAPE_ONLY
from canary.core.series import Matcher, MatchOp, Selector
from canary.metrics.pod_names import CANARY, SERVICE
from canary.metrics.preset_groups import PoolPresetGroup, format_selector, pool_preset_groups

BY = "namespace, service, version, pod, pool"
"""Labels of all recorded series of pools, besides `preset` and those that tell pools apart."""
_REPLACED = ("service", "version", "preset")
IN_USE = "canary:pool_in_use:connections"
MAXIMUM = "canary:pool_maximum:connections"
WAITING = "canary:pool_waiting:callers"
REFUSED = "canary:pool_refused:rate2m"
GIVEN_BACK = "canary:pool_given_back:rate10m"
UTILISATION = "canary:pool_utilisation:ratio"
RESIDUAL = "canary:pool_residual:connections"
ERROR = "canary:pool_residual_error:connections"
LOST = "canary:pool_lost:rate30m"
EXHAUSTION = "canary:pool_exhaustion:seconds"

LEAK = 3
"""Number of connections, as `leak.connections` of a spec; fewer may be held for good reasons."""
_NAMED = Matcher("pod", MatchOp.NOT_EQUAL, "")


def build_group(settings: AlertSettings) -> RuleGroup:
    """Return all rules about pools."""
    records = [record for group in pool_preset_groups() for record in _record_pools(group)]
    return RuleGroup(
        "canary-pools", "15s", (*records, *_derived_records(), *_build_alerts(settings))
    )


def _record_pools(group: PoolPresetGroup) -> Iterator[RecordingRule]:
    yield _build_record(IN_USE, group, _in_use(group))
    if group.maximum:
        # 0 means unlimited, so utilization is undefined.
        yield _build_record(MAXIMUM, group, f"{_maximum_expression(group, group.maximum)} > 0")
    if group.waiting:
        parts = [
            _normalize_labels(group, format_selector(one, *_pod_matchers(group)))
            for one in group.waiting
        ]
        yield _build_record(WAITING, group, "\nor ".join(parts))
    if group.timeouts:
        parts = [
            _normalize_labels(group, _rate_expression(group, one, "2m")) for one in group.timeouts
        ]
        yield _build_record(REFUSED, group, "\nor ".join(parts))
    if group.hold:
        unit = "" if group.hold_unit == 1 else f" * {group.hold_unit:g}"
        yield _build_record(
            GIVEN_BACK,
            group,
            _normalize_labels(group, _rate_expression(group, group.hold, "10m")) + unit,
        )


def _build_record(name: str, group: PoolPresetGroup, expression: str) -> RecordingRule:
    return RecordingRule(name, expression, {"preset": group.name})


def _pod_matchers(group: PoolPresetGroup) -> tuple[Matcher, ...]:
    """Require a pod's name: series without one would be summed over all pods."""
    return () if group.backend else (_NAMED,)


def _rate_expression(group: PoolPresetGroup, selector: Selector, window: str) -> str:
    return f"rate({format_selector(selector, *_pod_matchers(group))}[{window}])"


def _in_use(group: PoolPresetGroup) -> str:
    taken = _normalize_labels(group, format_selector(group.in_use, *_pod_matchers(group)))
    if group.idle is None:
        return taken
    return (
        f"{taken}\n- {_normalize_labels(group, format_selector(group.idle, *_pod_matchers(group)))}"
    )


def _maximum_expression(group: PoolPresetGroup, maximum: Selector) -> str:
    own = f'{IN_USE}{{preset="{group.name}"}}'
    if group.maximum_by:
        pools = ", ".join(("namespace", "pod", "instance", *group.maximum_by))
        most = f"max by ({pools}) ({format_selector(maximum, *_pod_matchers(group))})"
        return f"({own} * 0\n+ on ({pools}) group_left () {most})"
    if not group.shared_maximum:
        return _normalize_labels(group, format_selector(maximum, *_pod_matchers(group)))
    server = f'label_replace({format_selector(maximum)}, "pod", "$1", "instance", "(.+)")'
    pods = "namespace, pod"
    return f"sum by ({BY}) ({own} * 0\n+ on ({pods}) group_left () max by ({pods}) ({server}))"


def _normalize_labels(group: PoolPresetGroup, series: str) -> str:
    """Return one series per pool, with the labels common to all exporters.

    Pools that differ in any label are different pools and are not summed; the fullest one counts.
    Two scrapes of one process count once.
    """
    if group.backend:
        own = dict.fromkeys(("namespace", "instance", group.who))
        series = f"sum by ({', '.join(own)}) ({series})"
    else:
        series = f"max without ({', '.join(_dropped_labels(group))}) ({series})"
    for label in group.pools:
        series = _replace_label(series, "pool", "$1", label, "(.+)") if label != "pool" else series
    series = _replace_label(series, "service", "$1", group.who, SERVICE)
    series = _replace_label(series, "version", "stable", group.who, ".*")
    series = _replace_label(series, "version", "canary", group.who, CANARY)
    if group.backend:
        series = _replace_label(series, "pod", "$1", "instance", "(.+)")
        return f"sum by ({BY}) ({series})"
    return series


def _dropped_labels(group: PoolPresetGroup) -> Iterable[str]:
    """Return the labels to drop: those of the scrape and of connection kinds, and those we replace.

    If they were kept, replacing labels could make two series equal, which fails the whole rule.
    """
    kinds = (one.label for one in group.in_use.matchers)
    named = ("pool",) if group.pools and "pool" not in group.pools else ()
    return dict.fromkeys((*sorted(SCRAPE_ONLY), *kinds, *_REPLACED, *named))


def _replace_label(series: str, target: str, value: str, source: str, pattern: str) -> str:
    return f'label_replace({series}, "{target}", "{value}", "{source}", "{pattern}")'


def _derived_records() -> Iterator[RecordingRule]:
    yield RecordingRule(UTILISATION, f"{IN_USE} / {MAXIMUM}")
    # A pool younger than the window would seem to hold connections that it had no time to return.
    yield RecordingRule(
        RESIDUAL, f"avg_over_time({IN_USE}[10m]) - {GIVEN_BACK}\nand {IN_USE} offset 10m"
    )
    # Sampled connections scatter around the expected number at least like a Poisson variable. The
    # slowest usual scrape interval, one minute, gives ten samples in the window.
    yield RecordingRule(ERROR, f"sqrt(clamp_min({GIVEN_BACK}, 0) / 10) and {RESIDUAL}")
    # 6: four standard errors of a difference. The longer window finds slower leaks.
    yield RecordingRule(
        LOST,
        f"(({RESIDUAL} - {RESIDUAL} offset 10m) > 6 * {ERROR}) / 600\n"
        f"or (({RESIDUAL} - {RESIDUAL} offset 30m) > 6 * {ERROR}) / 1800",
    )
    yield RecordingRule(
        EXHAUSTION,
        f"clamp_min({MAXIMUM} - {IN_USE}, 0) / ({LOST} > 0)\n"
        f"and ({RESIDUAL} > {LEAK} + 4 * {ERROR})",
    )


_POD = "{{ $labels.namespace }}/{{ $labels.pod }}"
_OF = (
    "{{ with $labels.pool }} (pool {{ . }}){{ end }}, service {{ $labels.service }}, version "
    "{{ $labels.version }}"
)
_LOOK = " `canary pools -n {{ $labels.namespace }}` shows all pools."


def _build_alerts(settings: AlertSettings) -> Iterator[Alert]:
    full = "{{ $value | humanizePercentage }} of the connections"
    yield _build_alert(
        "PoolNearlyFull",
        Severity.WARNING,
        f"{UTILISATION} > {settings.limit}",
        "5m",
        f"{full} of {_POD} are in use",
        f"{_POD}{_OF}, has used more than the limit for 5 minutes.{_LOOK}",
    )
    yield _build_alert(
        "PoolNearlyFull",
        Severity.CRITICAL,
        f"{UTILISATION} > 0.95",
        "1m",
        f"{full} of {_POD} are in use",
        f"{_POD}{_OF}, is nearly exhausted: without a free connection, requests wait and then "
        f"fail.{_LOOK}",
    )
    yield from _forecast_alerts()
    yield _build_alert(
        "PoolConnectionsWaiting",
        Severity.CRITICAL,
        f"avg_over_time({WAITING}[2m]) >= 1\nor {REFUSED} > 0",
        "2m",
        f"Requests in {_POD} are waiting for a database connection",
        f"For 2 minutes, requests at {_POD}{_OF}, have waited for a connection or got none, which "
        f"users notice.{_LOOK}",
    )


def _forecast_alerts() -> Iterator[Alert]:
    held = (
        f"`{RESIDUAL}` is the number of connections in use beyond those that requests need. A "
        "traffic surge does not increase it."
    )
    # The edge of a surge stays in the window for ten minutes and distorts the residual.
    for severity, seconds, lasting in (
        (Severity.CRITICAL, 2 * 3600, "10m"),
        (Severity.WARNING, 24 * 3600, "15m"),
    ):
        yield _build_alert(
            "PoolExhaustionForecast",
            severity,
            f"{EXHAUSTION} < {seconds}",
            lasting,
            f"{_POD} leaks connections; pool exhausted in {{{{ $value | humanizeDuration }}}}",
            f"{_POD}{_OF}, takes connections and never returns them. {held}{_LOOK}",
        )


def _build_alert(  # noqa: PLR0913, PLR0917 - a row of a table
    name: str, severity: Severity, expression: str, lasting: str, summary: str, description: str
) -> Alert:
    return Alert(name, severity, Team.DATABASE, expression, lasting, summary, description)
