"""Alerts on failed requests: the burn rate of the error budget, in several windows.

Windows and factors are those of the Site Reliability Workbook, chapter 5, "Multiwindow,
Multi-Burn-Rate Alerts", for a budget of 30 days: the long window shows that it matters, the short
one that it is still happening.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from canary.alerts.model import Alert, AlertSettings, RecordingRule, RuleGroup, Severity, Team
from canary.metrics.pod_names import SERVICE
from canary.metrics.preset_groups import RatioPresetGroup, format_selector, ratio_preset_groups

REQUESTS = "canary:requests:rate5m"
ERRORS = "canary:errors:rate5m"
BY = "namespace, service"
"""Labels of the recorded series, besides `source` (the preset). Versions are summed."""
RECORD_INTERVAL = 30
"""Seconds between two recorded rates: their sum times this is a number of requests."""
MIN_FAILURES = 10
"""Minimum number of failed requests in the long window; fewer never alert, whatever their share."""
_TRAEFIK = (
    "(?:(?:http|grpc)route-.+-svc-)?(.+?)(?:-canary)?-[a-z0-9]+@kubernetes(?:crd|gateway)"
    "|(.+?)(?:-canary|-stable)?@file"
)
_ENVOY_GATEWAY = "httproute/([^/]+)/([^/]+)/.+"


@dataclass(frozen=True, slots=True)
class _RouterLabels:
    """The labels in which a router's series name the service and its namespace."""

    label: str
    service: str = SERVICE
    value: str = "$1"
    namespace: str = "namespace"


_ROUTERS = {
    "istio": _RouterLabels("destination_workload", namespace="destination_workload_namespace"),
    "linkerd": _RouterLabels("deployment"),
    "envoy": _RouterLabels("envoy_cluster_name", "(.+?)(?:-canary)?"),
    # A service of Traefik is named NAMESPACE-NAME; where the namespace ends is unknown.
    "traefik": _RouterLabels("service", _TRAEFIK, "$1$2"),
    "ingress-nginx": _RouterLabels("ingress", "(.+)"),
}
_BURNS = (
    (Severity.CRITICAL, "1h", "5m", 14.4, "2m"),
    (Severity.CRITICAL, "6h", "30m", 6, "5m"),
    (Severity.WARNING, "1d", "2h", 3, "15m"),
    (Severity.WARNING, "3d", "6h", 1, "1h"),
)
"""Severity, long window, short window, burn rate, `for`."""


def build_group(settings: AlertSettings) -> RuleGroup:
    """Return all rules about requests."""
    records = [record for group in ratio_preset_groups() for record in _record_rates(group)]
    return RuleGroup("canary-errors", f"{RECORD_INTERVAL}s", (*records, *_build_alerts(settings)))


def _record_rates(group: RatioPresetGroup) -> Iterator[RecordingRule]:
    words = _ROUTERS[group.name] if group.backend else _RouterLabels("pod")
    total = _sum_by_service(words, f"rate({format_selector(group.total)}[5m])")
    bad = [
        _sum_by_service(words, f"rate({format_selector(group.total, one)}[5m])")
        for one in group.bad
    ]
    labels = {"source": group.name}
    yield RecordingRule(REQUESTS, total, labels)
    # There is no series of failures before the first one.
    none = f'0 * {REQUESTS}{{source="{group.name}"}}'
    yield RecordingRule(ERRORS, "\nor ".join((*bad, f"sum by ({BY}) ({none})")), labels)


def _sum_by_service(words: _RouterLabels, series: str) -> str:
    """Sum by namespace and service; by the router's labels first, or label_replace would clash."""
    own = dict.fromkeys((words.namespace, words.label))
    series, label = f"sum by ({', '.join(own)}) ({series})", words.label
    if label == "service":
        series, label = _replace_label(series, "backend", "$1", label, "(.+)"), "backend"
    series = _replace_label(series, "service", words.value, label, words.service)
    if words.namespace != "namespace":
        series = _replace_label(series, "namespace", "$1", words.namespace, "(.+)")
    if label == "envoy_cluster_name":
        series = _replace_label(series, "namespace", "$1", label, _ENVOY_GATEWAY)
        series = _replace_label(series, "service", "$2", label, _ENVOY_GATEWAY)
    return f"sum by ({BY}) ({series})"


def _replace_label(series: str, target: str, value: str, source: str, pattern: str) -> str:
    return f'label_replace({series}, "{target}", "{value}", "{source}", "{pattern}")'


def failed_share(window: str, services: str) -> str:
    """Return PromQL for the share (0–1) of requests that failed in a window.

    The recorded rates cover 5 minutes; a longer window sums them.
    """
    which = f'{{service=~"{services}"}}'
    if window == "5m":
        return f"({ERRORS}{which} / {REQUESTS}{which})"
    return (
        f"(sum_over_time({ERRORS}{which}[{window}]) / sum_over_time({REQUESTS}{which}[{window}]))"
    )


def _build_alerts(settings: AlertSettings) -> Iterator[Alert]:
    for severity, long, short, rate, lasting in _BURNS:
        budget = f"{rate:g} * {settings.budget}"
        failed = (
            f'sum_over_time({ERRORS}{{service=~"{settings.services}"}}[{long}]) * {RECORD_INTERVAL}'
        )
        yield Alert(
            "ErrorBudgetBurn",
            severity,
            Team.SERVICE,
            f"{failed_share(long, settings.services)} > {budget}\n"
            f"and {failed_share(short, settings.services)} > {budget}\n"
            f"and {failed} > {MIN_FAILURES}",
            lasting,
            "{{ $labels.service }} in {{ $labels.namespace }}: {{ $value | humanizePercentage }} "
            f"of requests failed in {long}",
            f"Over {long} and over {short}, errors consume the error budget at more than "
            f"{rate:g} times the allowed rate, measured with preset {{{{ $labels.source }}}}. "
            "`canary get -n {{ $labels.namespace }}` shows releases in flight.",
            {"window": long},
        )
