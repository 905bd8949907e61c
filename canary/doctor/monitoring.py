"""Prometheus: does it answer, is it fresh, and do its clock and the API server's agree?"""

from collections.abc import Iterator
from contextlib import closing

from canary.discovery.prometheus_queries import Inquiry
from canary.doctor.context import Patient
from canary.doctor.diagnosis import Diagnosis, doubtful, fine, wrong
from canary.doctor.operators import Operator
from canary.errors import CanaryError
from canary.metrics.prometheus import PrometheusOptions
from canary.text.format import duration

_STALE, _OLD = 60.0, 240.0
"""Seconds since the newest sample; after 300 a value is none any more."""
_SKEW, _FAR = 3.0, 30.0
"""Seconds between two clocks; an HTTP date is good to one."""


def prometheus(patient: Patient, operator: Operator | None) -> Iterator[Diagnosis]:
    """Asks the one that was named, else the one that the operator is told to ask."""
    options = patient.prometheus
    named = options is not None
    told = operator.told("prometheus-url", patient.usual.prometheus) if operator else None
    if options is None:
        if told is None:
            remedy = "give --prometheus URL to have it examined"
            yield doubtful("prometheus", "no address is known", remedy)
            return
        options = PrometheusOptions(told, attempts=1)
    with closing(Inquiry(options)) as inquiry:
        try:
            yield from _fresh(inquiry)
        except CanaryError as error:
            yield _unanswered(error, options.url, named=named)
            return
        yield from _clocks(patient, inquiry)
    if named and told is not None and told.rstrip("/") != options.url.rstrip("/"):
        yield fine("prometheus", f"the operator asks it as {told}")


def _unanswered(error: CanaryError, url: str, *, named: bool) -> Diagnosis:
    if named:
        return wrong("prometheus", str(error), "correct --prometheus, or bring it up")
    return doubtful(
        "prometheus",
        f"the operator's Prometheus, {url}, does not answer from here; inside the cluster it may",
        "give --prometheus URL, perhaps that of a kubectl port-forward",
    )


def _fresh(inquiry: Inquiry) -> Iterator[Diagnosis]:
    up = inquiry.vector("count(up)")
    if not up:
        said = f"{inquiry.url} answers, and scrapes nothing: it has no series up"
        yield wrong("prometheus", said, "see its targets page; is that the right Prometheus?")
        return
    targets = f"{up[0].value:.0f} targets"
    age = inquiry.vector("time() - max(timestamp(up))")[0].value
    said = f"{inquiry.url} has {targets}; its newest sample is {duration(max(age, 0))} old"
    if age > _OLD:
        yield wrong("prometheus", said, "it has stopped scraping: see its targets page and logs")
    elif age > _STALE:
        yield doubtful("prometheus", said, "it scrapes seldom or is behind: see its targets page")
    else:
        yield fine("prometheus", said)
    down = inquiry.vector("count(up == 0)")
    if down and down[0].value >= up[0].value / 2:
        said = f"{down[0].value:.0f} of {targets} cannot be scraped"
        yield doubtful("prometheus", said, "see its targets page")


def _clocks(patient: Patient, inquiry: Inquiry) -> Iterator[Diagnosis]:
    inquiry.vector("vector(1)")
    theirs, ours = inquiry.date, patient.date()
    if theirs is None or ours is None:
        yield doubtful("clocks", "a server sends no date, so clocks cannot be compared", "")
        return
    skew = theirs - ours
    said = f"Prometheus' clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} "
    said += "the API server's"
    if abs(skew) > _FAR:
        yield wrong("clocks", said, "set both by NTP: samples would be read from another time")
    elif abs(skew) > _SKEW:
        yield doubtful("clocks", said, "set both by NTP: samples come late by as much")
    else:
        yield fine("clocks", "Prometheus and the API server agree on the time")
