"""Open-loop load: requests are due at times that were fixed beforehand.

Each request is sent when it is due, whatever became of those before it, and its latency counts from
that time: a stalled target cannot hide its own slowness (coordinated omission). `run.run(plan)`
blocks until the end; `Result` and `Tally` have the outcome. Only `run` needs libcurl, so it is
imported from its module: the demo uses the histogram without libcurl.
"""

from canary.loadtest.generator.mix import Mix, Order, Request, Rows
from canary.loadtest.generator.plan import Plan, Tls
from canary.loadtest.generator.schedule import Schedule, Spacing, Stage
from canary.loadtest.generator.tally import Histogram, Tally, total
from canary.loadtest.generator.text import Text, parse

__all__ = [
    "Histogram",
    "Mix",
    "Order",
    "Plan",
    "Request",
    "Rows",
    "Schedule",
    "Spacing",
    "Stage",
    "Tally",
    "Text",
    "Tls",
    "parse",
    "total",
]
