"""Reads the pods' metrics pages through the API server, without Prometheus."""

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, urlsplit

from canary.core.sampling import selector_matches
from canary.core.series import SeriesQuery
from canary.errors import CanaryError
from canary.kube.objects import Object
from canary.kube.transport import ApiRequest, RequestTimeouts, Transport
from canary.metrics.exposition import PageError, metric_names, parse_samples
from canary.metrics.query_api import Labels
from canary.operator.scrapers import metrics_url

_MAX_PODS = 3
"""Number of pods that are read; all pods of a version export the same metrics."""
_OK = 200
_TIMEOUTS = RequestTimeouts(connect=3.0, read=5.0)


class MetricsPages:
    """The series on the pods' metrics pages; `trouble` says why there may be none."""

    def __init__(self, transport: Transport, pods: Sequence[Object]) -> None:
        self._pages = [(pod, url) for pod in pods if (url := metrics_url(pod))][:_MAX_PODS]
        self._transport = transport
        self._bodies: list[tuple[Labels, bytes, str]] = []
        self.trouble = "" if self._pages else _explain_no_page(pods)
        for pod, url in self._pages:
            self._read_page(pod["metadata"], url)

    @property
    def names(self) -> frozenset[str]:
        """The names of all metrics on the pages."""
        return frozenset().union(*(metric_names(body) for _, body, _ in self._bodies))

    def labels_of(self, query: SeriesQuery) -> list[Labels]:
        """Return the label groups that a query yields now; skips pages that cannot be parsed."""
        found = {
            tuple((label, labels.get(label, "")) for label in query.by)
            for labels in self._find_series(query)
        }
        return [dict(group) for group in sorted(found)]

    def _find_series(self, query: SeriesQuery) -> Iterator[Labels]:
        for own, body, content_type in self._bodies:
            try:
                page = parse_samples(body, content_type, {query.selector.metric}, whole=True)
            except PageError as error:
                self.trouble = str(error)
                continue
            labels = ({**sample.labels, **own} for sample in page)
            yield from (one for one in labels if selector_matches(query.selector, one))

    def _read_page(self, metadata: Object, url: str) -> None:
        parts, name = urlsplit(url), metadata["name"]
        pod = quote(f"{parts.scheme}:{name}:{parts.port}", safe=":")
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{pod}/proxy{parts.path}"
        try:
            answer = self._transport.send(ApiRequest("GET", path), _TIMEOUTS)
        except CanaryError as error:
            self.trouble = str(error)
            return
        if answer.status != _OK:
            words = answer.details.get("message") or f"HTTP {answer.status}"
            self.trouble = f"cannot read the metrics page of pod {name}: {words}"
            return
        own = {"namespace": metadata["namespace"], "pod": name}
        self._bodies.append((own, answer.body, answer.headers.get("Content-Type", "")))


def _explain_no_page(pods: Sequence[Object]) -> str:
    return "no pod has a prometheus.io/port annotation" if pods else "no pod is running"


def select_pods(pods: Iterable[Object], names: Sequence[str]) -> list[Object]:
    """Return the pods with these names."""
    return [pod for pod in pods if pod["metadata"]["name"] in names]
