"""One Prometheus for all tests: it scrapes pages in the exporters' formats and a scripted fleet."""

import json
from pathlib import Path

from canary.metrics.presets import POOLS, RATIOS
from canary.metrics.scrape import ScrapeTarget
from tests.http_server import HttpServer, ReceivedRequest, Reply
from tests.metrics.real_prometheus import RealPrometheus

EXPOSITIONS = Path(__file__).parent / "expositions"
PAGES = sorted(page.stem for page in EXPOSITIONS.glob("*.txt"))
_PER_POD = {p.name for p in (*RATIOS, *POOLS) if p.backend is None}
_PODS = ("auth-1", "auth-canary-1", "shop-1")

# pod → (requests of code 200, of code 500) since its start, size and idle connections; by phase.
# `old` restarts in the third phase, `gone` disappears in it, `new` comes in the second.
PHASES: list[dict[str, tuple[int, int, int, int]]] = [
    {"old": (100, 0, 5, 5), "gone": (50, 1, 5, 4)},
    {"old": (200, 2, 5, 3), "gone": (70, 1, 5, 4), "new": (10, 0, 4, 4)},
    {"old": (20, 1, 5, 5), "new": (40, 20, 8, 1)},
    {"old": (90, 1, 6, 5), "new": (41, 60, 8, 0)},
]
FLEET = ("old", "gone", "new")


class LivePrometheus:
    """The server behind all pages, the Prometheus that scrapes it, and the fleet's phase."""

    def __init__(self, home: Path) -> None:
        self.phase = 0
        self.server = HttpServer()
        self.server.answer = self._answer
        jobs = [*map(self._exposition, PAGES), *map(self._pod, FLEET)]
        try:
            self.prometheus = RealPrometheus(home, json.dumps({"scrape_configs": jobs}))
        except BaseException:
            self.server.close()
            raise

    def close(self) -> None:
        self.prometheus.close()
        self.server.close()

    def fleet(self) -> list[ScrapeTarget]:
        """Every pod of the fleet that is alive."""
        return [ScrapeTarget(f"{self.server.url}/{p}", {"pod": p}) for p in PHASES[self.phase]]

    def _answer(self, request: ReceivedRequest) -> Reply:
        name = request.path.strip("/")
        if name in PAGES:
            return Reply((EXPOSITIONS / f"{name}.txt").read_bytes())
        if name not in PHASES[self.phase]:
            return Reply(status=404)
        good, bad, size, idle = PHASES[self.phase][name]
        errors = f'logins_total{{code="500"}} {bad}\n' if bad else ""
        page = f"# TYPE logins_total counter\n{errors}"
        page += f'logins_total{{code="200"}} {good}\nconnections {size}\nidle {idle}\n'
        return Reply(page.encode())

    def _exposition(self, name: str) -> dict[str, list[object]]:
        """Pods of both sides and one of somebody else have the same page; routers have one."""
        pods = _PODS if name in _PER_POD else ()
        labels = [{"namespace": "prod", "pod": pod} for pod in pods]
        return self._job(name, labels or [{}])

    def _pod(self, name: str) -> dict[str, list[object]]:
        return self._job(name, [{"pod": name}])

    def _job(self, name: str, labels: list[dict[str, str]]) -> dict[str, list[object]]:
        address = self.server.address
        return {
            "job_name": name,
            "metrics_path": f"/{name}",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [address], "labels": one} for one in labels],
        }
