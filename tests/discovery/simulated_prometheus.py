"""A Prometheus of a few steadily rising series, as far as a survey asks it."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from canary.core.sampling import selector_matches
from canary.metrics.selectors import parse_selector
from tests.http_server import ReceivedRequest, Reply

NOW = 1_893_456_000
_SUM = re.compile(r"sum by \((.*?)\) \((.*)\)")
_RANGE = re.compile(r"(.*)\[(\d+)([ms])\]")
_PODS = re.compile(r"count by \(pod\) \((.*)\)")


@dataclass(frozen=True)
class CounterLine:
    """One series; it rises by `rate` per second, or stays at `value`."""

    metric: str
    labels: dict[str, str]
    rate: float = 0.0
    value: float = 1.0

    def at(self, time: float) -> float:
        """Its value then."""
        return self.value + self.rate * (time - NOW + 10_000)


@dataclass
class FakePrometheus:
    """Call it with a request."""

    lines: Sequence[CounterLine] = ()
    scrape: float = 15.0
    age: float = math.inf
    """Seconds since the series began."""
    fixed: dict[str, float] = field(default_factory=dict)
    """Answers to queries that are not selectors."""

    def __call__(self, request: ReceivedRequest) -> Reply:
        form = request.form
        if request.path.endswith("query_range"):
            start, end = float(form["start"]), float(form["end"])
            times = [start + i * float(form["step"]) for i in range(1000)]
            return _reply(
                "matrix",
                self._sums(form["query"], [t for t in times if end - self.age <= t <= end]),
            )
        return self._now(form["query"], float(form.get("time", NOW)))

    def _now(self, query: str, now: float) -> Reply:
        if query in self.fixed:
            return _reply("vector", [{"metric": {}, "value": [NOW, str(self.fixed[query])]}])
        if found := _RANGE.fullmatch(query):
            seconds = int(found[2]) * {"m": 60, "s": 1}[found[3]]
            times = [now - self.scrape * i for i in range(int(seconds // self.scrape) + 1)][::-1]
            runs = [
                {
                    "metric": line.labels,
                    "values": [[t, str(line.at(t))] for t in times if t >= now - self.age],
                }
                for line in self._chosen(found[1])
            ]
            return _reply("matrix", runs)
        if _PODS.fullmatch(query):
            pods = sorted({line.labels["pod"] for line in self.lines if "pod" in line.labels})
            return _reply("vector", [{"metric": {"pod": p}, "value": [NOW, "1"]} for p in pods])
        if query.startswith("count by (__name__)"):
            own = sorted({line.metric for line in self.lines if "pod" in line.labels})
            return _reply(
                "vector", [{"metric": {"__name__": name}, "value": [NOW, "1"]} for name in own]
            )
        rows = self._sums(query, [NOW])
        return _reply(
            "vector", [{"metric": row["metric"], "value": row["values"][0]} for row in rows]
        )

    def _sums(self, query: str, times: list[float]) -> list[dict[str, Any]]:
        found = _SUM.fullmatch(query)
        if found is None:
            return []
        by = [label.strip() for label in found[1].split(",")]
        groups: dict[tuple[str, ...], list[CounterLine]] = {}
        for line in self._chosen(found[2]):
            groups.setdefault(tuple(line.labels.get(label, "") for label in by), []).append(line)
        return [
            {
                "metric": {k: v for k, v in zip(by, key, strict=True) if v},
                "values": [[t, str(sum(line.at(t) for line in lines))] for t in times],
            }
            for key, lines in groups.items()
        ]

    def _chosen(self, text: str) -> list[CounterLine]:
        selector = parse_selector(text)
        return [
            line
            for line in self.lines
            if line.metric == selector.metric and selector_matches(selector, line.labels)
        ]


def _reply(kind: str, result: list[dict[str, Any]]) -> Reply:
    body = {"status": "success", "data": {"resultType": kind, "result": result}}
    return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


POD = {"namespace": "prod", "pod": "auth-7d9c5b6f4-aaaaa"}
TRAEFIK = "prod-auth-80@kubernetescrd"


def gateway_series(rate: float, bad: float = 0.0) -> list[CounterLine]:
    """Traefik's requests per second to the Service, and those that fail."""
    labels = {"service": TRAEFIK, "instance": "traefik:1"}
    return [
        CounterLine("traefik_service_requests_total", labels | {"code": "200"}, rate - bad),
        CounterLine("traefik_service_requests_total", labels | {"code": "500"}, bad),
    ]


def application_series(label: str = "code", rate: float = 1.0) -> list[CounterLine]:
    """Requests as the pod counts them, with the status in that label."""
    return [CounterLine("http_requests_total", POD | {label: "200"}, rate)]


def pool_series() -> list[CounterLine]:
    """HikariCP's gauges."""
    names = ("hikaricp_connections_active", "hikaricp_connections_max")
    return [CounterLine(name, POD | {"pool": "main"}, value=5.0) for name in names]
