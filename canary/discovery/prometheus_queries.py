"""Instant queries to Prometheus: which series exist now, and the difference of its clock."""

from dataclasses import dataclass

from canary.core.series import Member, SeriesQuery
from canary.errors import TransientError, UsageError
from canary.metrics.promql import conditions_text, format_promql, one_of
from canary.metrics.query_api import (
    Labels,
    NoAnswerError,
    NoPrometheusError,
    PartialAnswerError,
    PrometheusClient,
    PrometheusOptions,
    RefusedQueryError,
    Row,
    ServerDownError,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One current value."""

    labels: Labels
    value: float


class Inquiry:
    """A Prometheus that a command queries while a person waits."""

    def __init__(self, options: PrometheusOptions) -> None:
        self._client = PrometheusClient(options)
        self.url = self._client.url

    @property
    def date(self) -> float | None:
        """Time of its clock in the last response, in seconds since the epoch."""
        return self._client.date

    def query_vector(self, query: str) -> list[Sample]:
        """Return the current values of an expression.

        Raises:
            TransientError: it cannot be reached, or failed.
            UsageError: the server is not a Prometheus, or rejects the query.
        """
        return [
            # A native histogram has no value, but it exists.
            Sample(row.labels, row.points[-1][1] if row.points else float("nan"))
            for row in self.query_rows(query)
        ]

    def query_rows(self, query: str) -> list[Row]:
        """Return the series of an expression, also of a range such as `up[5m]`.

        Raises as `vector`.
        """
        try:
            return self._client.query(query)
        except ServerDownError as error:
            raise TransientError(
                f"Prometheus at {self.url} cannot be queried: {error}; check the address, and "
                "that it is reachable from here (kubectl port-forward helps)"
            ) from error
        except PartialAnswerError as error:
            raise TransientError(
                f"Prometheus at {self.url} returned a partial answer: {error}"
            ) from error
        except NoAnswerError as error:
            raise TransientError(f"Prometheus at {self.url} failed: {error}") from error
        except NoPrometheusError as error:
            raise UsageError(
                f"{self.url} is not a Prometheus: {error} Set the address of Prometheus with "
                "--prometheus"
            ) from error
        except RefusedQueryError as error:
            raise UsageError(f"Prometheus at {self.url} rejects {query!r}: {error}") from error

    def labels_of(self, query: SeriesQuery) -> list[Labels]:
        """Return the label groups that a query yields now."""
        return [sample.labels for sample in self.query_vector(format_promql(query))]

    def names_of(self, namespace: str, pods: tuple[str, ...]) -> frozenset[str]:
        """Return the names of all metrics of these pods."""
        member = Member("pod", one_of(pods), "namespace", namespace)
        query = f"count by (__name__) ({{{conditions_text(member.matchers())}}})"
        return frozenset(sample.labels.get("__name__", "") for sample in self.query_vector(query))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
