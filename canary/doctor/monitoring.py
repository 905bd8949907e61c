"""Checks Prometheus: reachability, age of samples, and its clock."""

from collections.abc import Iterator
from contextlib import closing

from canary.discovery.prometheus_queries import Inquiry
from canary.doctor.diagnosis import (
    Diagnosis,
    DoctorContext,
    report_error,
    report_ok,
    report_warning,
)
from canary.doctor.operators import OperatorDeployment
from canary.errors import CanaryError
from canary.metrics.prometheus import PrometheusOptions
from canary.text.format import human_duration

_STALE, _OLD = 60.0, 240.0
"""Maximum age of the newest sample in seconds; values become stale after 300."""
_SKEW, _FAR = 3.0, 30.0
"""Maximum difference of two clocks in seconds; an HTTP date has a resolution of one."""


def check_prometheus(
    context: DoctorContext, operator: OperatorDeployment | None
) -> Iterator[Diagnosis]:
    """Check the Prometheus of the command line, or else the operator's."""
    file = operator.option_value("prometheus-config", "") if operator else ""
    default = "" if file else context.defaults.prometheus
    url = operator.option_value("prometheus-url", default) if operator else ""
    if not context.prometheus and not url:
        said = f"the address is in the operator's file {file}" if file else "the address is unknown"
        remedy = "set --prometheus-config FILE or --prometheus URL to check it"
        yield report_warning("prometheus", said, remedy)
        return
    named = bool(context.prometheus)
    for options in context.prometheus or (PrometheusOptions(url, attempts=1),):
        yield from _check_one(context, options, named=named)
    urls = {one.url.rstrip("/") for one in context.prometheus}
    if named and url and url.rstrip("/") not in urls:
        yield report_ok("prometheus", f"the operator uses {url}")


def _check_one(
    context: DoctorContext, options: PrometheusOptions, *, named: bool
) -> Iterator[Diagnosis]:
    with closing(Inquiry(options)) as inquiry:
        try:
            yield from _check_freshness(inquiry)
        except CanaryError as error:
            yield _report_unreachable(error, options.url, named=named)
            return
        yield from _check_clocks(context, inquiry)


def _report_unreachable(error: CanaryError, url: str, *, named: bool) -> Diagnosis:
    if named:
        return report_error("prometheus", str(error), "correct --prometheus, or start Prometheus")
    return report_warning(
        "prometheus",
        f"the operator's Prometheus {url} is not reachable from here (it may be in the cluster)",
        "set --prometheus URL, such as that of a kubectl port-forward",
    )


def _check_freshness(inquiry: Inquiry) -> Iterator[Diagnosis]:
    up = inquiry.query_vector("count(up)")
    if not up:
        said = f"{inquiry.url} responds but has no series up: it scrapes nothing"
        yield report_error("prometheus", said, "check its targets page, and the address")
        return
    targets = f"{up[0].value:.0f} targets"
    age = inquiry.query_vector("time() - max(timestamp(up))")[0].value
    said = f"{inquiry.url} has {targets}; its newest sample is {human_duration(max(age, 0))} old"
    if age > _OLD:
        yield report_error(
            "prometheus", said, "Prometheus has stopped scraping: check its targets page and logs"
        )
    elif age > _STALE:
        yield report_warning(
            "prometheus", said, "Prometheus scrapes rarely or is behind: check its targets page"
        )
    else:
        yield report_ok("prometheus", said)
    down = inquiry.query_vector("count(up == 0)")
    if down and down[0].value >= up[0].value / 2:
        said = f"{down[0].value:.0f} of {targets} cannot be scraped"
        yield report_warning("prometheus", said, "check its targets page")


def _check_clocks(context: DoctorContext, inquiry: Inquiry) -> Iterator[Diagnosis]:
    inquiry.query_vector("vector(1)")
    theirs, ours = inquiry.date, context.date()
    if theirs is None or ours is None:
        yield report_warning(
            "clocks", "a server sends no Date header, so clocks cannot be compared", ""
        )
        return
    skew = theirs - ours
    said = (
        f"Prometheus' clock is {human_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} "
    )
    said += "the API server's"
    if abs(skew) > _FAR:
        yield report_error(
            "clocks", said, "synchronize both with NTP: queries use the wrong time range"
        )
    elif abs(skew) > _SKEW:
        yield report_warning(
            "clocks", said, "synchronize both with NTP: samples arrive late by this difference"
        )
    else:
        yield report_ok("clocks", "Prometheus and the API server agree on the time")
