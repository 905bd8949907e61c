"""What a release cost, in figures: printed, and kept where CANARY_E2E_FIGURES says."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import requests

from e2e.harness.auth import NAME
from e2e.harness.load import Failure
from e2e.harness.scenario import Scenario

GRACE = 2.0
"""Seconds for which a router may still send to the canary at weight 0: Traefik did for up to 1.7."""
COUNTED: Mapping[str, str] = {
    "traefik": 'traefik_service_requests_total{{service=~".*{namespace}-{name}.*"}}',
    "http": 'http_requests_total{{namespace="{namespace}"}}',
    "envoy-gateway": 'envoy_cluster_upstream_rq_xx{{envoy_cluster_name=~"httproute/{namespace}/.*"}}',
}
"""What the presets of these tests count, in Prometheus."""
OWN_FLAW = "500"
"""What a version with `errors` answers itself: stable's own are no drops."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """One release."""

    name: str
    result: str
    reason: str
    seconds: float | None = None
    """From the first weight above 0 to weight 0."""
    errors: int = 0
    """Requests that failed because the new version is bad."""
    reaction: float | None = None
    """Seconds from the scrape that decided to weight 0."""
    dropped: int = 0
    """Requests that failed because of the release itself."""
    sent: int = 0
    """Requests in all."""
    note: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)
    """What the operator used, where nothing else ran: see `result_table.COSTS`."""

    def __str__(self) -> str:
        span = "" if self.seconds is None else f", {self.seconds:.1f} s with weight"
        reaction = "" if self.reaction is None else f", {self.reaction:.2f} s from deciding scrape"
        said = self.note or ", ".join(f"{what}: {value:g}" for what, value in self.costs.items())
        note = f" ({said})" if said else ""
        return (
            f"{self.name}: {self.result}, {self.reason}{span}{reaction}, {self.errors} errors "
            f"served, {self.dropped} of {self.sent} requests dropped{note}"
        )


def write_measurements(figures: Measurements) -> Measurements:
    """Prints them, and keeps them for the table."""
    sys.stderr.write(f"{figures}\n")
    if folder := os.environ.get("CANARY_E2E_FIGURES"):
        text = json.dumps(asdict(figures))
        (Path(folder) / f"{figures.name.replace(' ', '-')}.json").write_text(text)
    return figures


def read_measurements(
    stage: Scenario,
    name: str,
    entry: dict[str, str],
    note: str = "",
    costs: Mapping[str, float] | None = None,
) -> Measurements:
    """The figures of a stage's release that has ended."""
    film, load = stage.film, stage.load
    start, end = film.first_weight(), film.back_to_zero()
    crashing = stage.running.flaw.startswith("crash")

    def served(failure: Failure) -> bool:
        """The new version failed; where its process died, the router says so for it."""
        died = crashing and start <= failure.at <= end + GRACE
        return failure.version == stage.running.label or died

    errors = [failure for failure in load.failures if served(failure)]
    figures = Measurements(
        name=name,
        result=entry["result"],
        reason=entry["reason"],
        seconds=round(end - start, 1),
        errors=len(errors),
        reaction=_reaction(stage, end) if entry["result"] == "RolledBack" else None,
        dropped=sum(not served(one) and one.status != OWN_FLAW for one in load.failures),
        sent=load.sent,
        note=note,
        costs=dict(costs or {}),
    )
    return write_measurements(figures)


def _reaction(stage: Scenario, end: float) -> float | None:
    """From the newest scrape that the deciding pass had judged; None without a Prometheus."""
    judged = stage.film.failing_since().get("judgedUntil")
    by_scrape = stage.running.flaw.startswith("errors")  # else by pods, or by time passing
    address = os.environ.get("PROMETHEUS_URL")
    if stage.guard.source != "prometheus" or not (judged and by_scrape and address):
        return None
    counted = COUNTED[stage.guard.metrics[0]["ratio"]["preset"]]
    series = counted.format(namespace=stage.namespace, name=NAME)
    asked = {"query": f"max(timestamp({series}))", "time": str(judged)}
    answer = requests.get(f"{address}/api/v1/query", params=asked, timeout=10).json()
    found = answer["data"]["result"]
    return round(end - float(found[0]["value"][1]), 2) if found else None
