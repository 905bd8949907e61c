"""Questions to Prometheus that are about now: present series, and how far its clock is off."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from canary.core.series import Selector, SeriesQuery
from canary.errors import TransientError, UsageError
from canary.metrics.http import BoundedAdapter, Credentials, root_cause
from canary.metrics.prometheus import PrometheusOptions, missing_parts
from canary.metrics.promql import one_of, promql

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One present value."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Run:
    """The raw samples of one series: times in seconds since the epoch, ascending."""

    labels: Labels
    times: tuple[float, ...]


class Inquiry:
    """One Prometheus, asked a few questions for a person who waits."""

    def __init__(self, options: PrometheusOptions) -> None:
        self._options = options
        self.url = options.url.rstrip("/")
        self._session = requests.Session()
        self._session.verify = not options.insecure
        if options.ca_file is not None and not options.insecure:
            self._session.verify = str(options.ca_file)
        self._session.auth = Credentials(
            options.bearer_token_file, options.username, options.password_file
        )
        self._session.mount(self.url, BoundedAdapter(options.max_bytes, options.read_timeout))
        self.date: float | None = None
        """What its clock said in its last answer, in seconds since the epoch."""

    def vector(self, query: str) -> list[Sample]:
        """The present value of an expression.

        Raises:
            TransientError: it cannot be reached, or failed.
            UsageError: that is no Prometheus, or it refuses the question.
        """
        return [
            # A native histogram has no value: it is there all the same.
            Sample(row.get("metric") or {}, float(row.get("value", (0, "NaN"))[1]))
            for row in self._result(query, "vector")
        ]

    def runs(self, selector: str) -> list[Run]:
        """The raw samples of a range selector such as `up[5m]`; raises as `vector` does."""
        return [
            Run(row.get("metric") or {}, tuple(float(time) for time, _ in row.get("values", ())))
            for row in self._result(selector, "matrix")
        ]

    def labels_of(self, query: SeriesQuery) -> list[Labels]:
        """The groups that a query has now."""
        return [sample.labels for sample in self.vector(promql(query))]

    def names_of(self, namespace: str, pods: tuple[str, ...]) -> frozenset[str]:
        """Names of all metrics that these pods have."""
        # Names in a cluster hold nothing that PromQL would have to quote but dots.
        one = one_of(pods).replace("\\", "\\\\")
        query = f'count by (__name__) ({{namespace="{namespace}",pod=~"{one}"}})'
        return frozenset(sample.labels.get("__name__", "") for sample in self.vector(query))

    def close(self) -> None:
        """Lets the connection go."""
        self._session.close()

    def _result(self, query: str, kind: str) -> list[dict[str, Any]]:
        answer = self._post({"query": query})
        try:
            body = answer.json()
        except ValueError as error:
            found = answer.headers.get("Content-Type", "nothing")
            raise UsageError(
                f"{self.url} is no Prometheus: JSON is expected from /api/v1/query, found {found} "
                f"(HTTP {answer.status_code}); give the address of its API with --prometheus"
            ) from error
        if answer.status_code != requests.codes.ok or body.get("status") != "success":
            words = str(body.get("error") or f"HTTP {answer.status_code}")[:300]
            raise UsageError(f"Prometheus at {self.url} refuses {query!r}: {words}")
        if why := missing_parts(body):
            raise TransientError(f"Prometheus at {self.url} answered only in part: {why}")
        data = body.get("data") or {}
        if data.get("resultType") != kind:
            raise UsageError(f"{self.url} answers with {data.get('resultType')!r}, not a {kind}")
        return list(data.get("result") or ())

    def _post(self, form: Mapping[str, str]) -> requests.Response:
        limits = (self._options.connect_timeout, self._options.read_timeout)
        try:
            answer = self._session.post(
                f"{self.url}/api/v1/query", data=form, timeout=limits, allow_redirects=False
            )
        except requests.RequestException as error:
            raise TransientError(
                f"Prometheus at {self.url} cannot be asked: {root_cause(error)}; is the address "
                "right, and does it answer from here? (kubectl port-forward helps)"
            ) from error
        if answer.status_code >= requests.codes.server_error:
            raise TransientError(f"Prometheus at {self.url} failed: HTTP {answer.status_code}")
        self.date = http_date(answer.headers)
        return answer


def selector_text(selector: Selector) -> str:
    """The selector alone, with the escaping that all queries have."""
    return promql(SeriesQuery("one", selector, ())).removeprefix("sum by () (").removesuffix(")")


def http_date(headers: Mapping[str, str]) -> float | None:
    """The `Date` of an HTTP answer, in seconds since the epoch; None where there is none."""
    try:
        return parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None
