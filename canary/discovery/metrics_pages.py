"""The pods' own metrics pages, read through the API server: no Prometheus needed."""

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, urlsplit

from canary.core.sampling import selector_matches
from canary.core.series import SeriesQuery
from canary.errors import CanaryError
from canary.kube.objects import Object
from canary.kube.transport import ApiRequest, RequestTimeouts, Transport
from canary.metrics.exposition import PageError, metric_names, samples
from canary.metrics.query_api import Labels
from canary.operator.scrapers import metrics_url

_FEW = 3
"""So many pods are asked: they are alike."""
_OK = 200
_PATIENCE = RequestTimeouts(connect=3.0, read=5.0)


class Pages:
    """Answers what series there are; `trouble` says why there may be none."""

    def __init__(self, transport: Transport, pods: Sequence[Object]) -> None:
        self._pages = [(pod, url) for pod in pods if (url := metrics_url(pod))][:_FEW]
        self._transport = transport
        self._bodies: list[tuple[Labels, bytes, str]] = []
        self.trouble = "" if self._pages else _none(pods)
        for pod, url in self._pages:
            self._read(pod["metadata"], url)

    @property
    def names(self) -> frozenset[str]:
        """Names of all metrics on the pages."""
        return frozenset().union(*(metric_names(body) for _, body, _ in self._bodies))

    def labels_of(self, query: SeriesQuery) -> list[Labels]:
        """The groups that a query has now; none where a page cannot be understood."""
        found = {
            tuple((label, labels.get(label, "")) for label in query.by)
            for labels in self._series(query)
        }
        return [dict(group) for group in sorted(found)]

    def _series(self, query: SeriesQuery) -> Iterator[Labels]:
        for own, body, content_type in self._bodies:
            try:
                page = samples(body, content_type, {query.selector.metric}, whole=True)
            except PageError as error:
                self.trouble = str(error)
                continue
            labels = ({**sample.labels, **own} for sample in page)
            yield from (one for one in labels if selector_matches(query.selector, one))

    def _read(self, metadata: Object, url: str) -> None:
        parts, name = urlsplit(url), metadata["name"]
        pod = quote(f"{parts.scheme}:{name}:{parts.port}", safe=":")
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{pod}/proxy{parts.path}"
        try:
            answer = self._transport.send(ApiRequest("GET", path), _PATIENCE)
        except CanaryError as error:
            self.trouble = str(error)
            return
        if answer.status != _OK:
            words = answer.details.get("message") or f"HTTP {answer.status}"
            self.trouble = f"the metrics page of pod {name} cannot be read: {words}"
            return
        own = {"namespace": metadata["namespace"], "pod": name}
        self._bodies.append((own, answer.body, answer.headers.get("Content-Type", "")))


def _none(pods: Sequence[Object]) -> str:
    return "no pod names a metrics page (prometheus.io/port)" if pods else "no pod is running"


def first_of(pods: Iterable[Object], names: Sequence[str]) -> list[Object]:
    """The objects of these pods."""
    return [pod for pod in pods if pod["metadata"]["name"] in names]
