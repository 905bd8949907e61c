"""Open-loop load: requests are due at times that are fixed in advance.

Each request is sent when it is due, whether or not earlier ones were answered, and its latency is
measured from that time, so a stalled target cannot hide its own slowness (coordinated omission).
`run.run_load(plan)` blocks until the end and returns a `LoadResult`. Only `run` needs libcurl, so
it is imported from its module: the demo uses the histogram without libcurl.
"""

from canary.loadtest.generator.mix import RequestData, RequestMix, RequestTemplate, RowOrder
from canary.loadtest.generator.plan import LoadPlan, TlsSettings
from canary.loadtest.generator.schedule import ArrivalSpacing, LoadSchedule, LoadStage
from canary.loadtest.generator.tally import LatencyHistogram, RequestTally, sum_tallies
from canary.loadtest.generator.text_template import TextTemplate, parse_template

__all__ = [
    "ArrivalSpacing",
    "LatencyHistogram",
    "LoadPlan",
    "LoadSchedule",
    "LoadStage",
    "RequestData",
    "RequestMix",
    "RequestTally",
    "RequestTemplate",
    "RowOrder",
    "TextTemplate",
    "TlsSettings",
    "parse_template",
    "sum_tallies",
]
