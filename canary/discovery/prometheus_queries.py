"""Questions to Prometheus that are about now: present series, and how far its clock is off."""

from dataclasses import dataclass

from canary.core.series import Member, SeriesQuery
from canary.errors import TransientError, UsageError
from canary.metrics.promql import conditions_text, one_of, promql
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
    """One present value."""

    labels: Labels
    value: float


class Inquiry:
    """One Prometheus, asked a few questions for a person who waits."""

    def __init__(self, options: PrometheusOptions) -> None:
        self._client = PrometheusClient(options)
        self.url = self._client.url

    @property
    def date(self) -> float | None:
        """What its clock said in its last answer, in seconds since the epoch."""
        return self._client.date

    def vector(self, query: str) -> list[Sample]:
        """The present value of an expression.

        Raises:
            TransientError: it cannot be reached, or failed.
            UsageError: that is no Prometheus, or it refuses the question.
        """
        return [
            # A native histogram has no value: it is there all the same.
            Sample(row.labels, row.points[-1][1] if row.points else float("nan"))
            for row in self.rows(query)
        ]

    def rows(self, query: str) -> list[Row]:
        """The series of an expression, also of a range such as `up[5m]`; raises as `vector`."""
        try:
            return self._client.query(query)
        except ServerDownError as error:
            raise TransientError(
                f"Prometheus at {self.url} cannot be asked: {error}; is the address right, and "
                "does it answer from here? (kubectl port-forward helps)"
            ) from error
        except PartialAnswerError as error:
            raise TransientError(
                f"Prometheus at {self.url} returned a partial answer: {error}"
            ) from error
        except NoAnswerError as error:
            raise TransientError(f"Prometheus at {self.url} failed: {error}") from error
        except NoPrometheusError as error:
            raise UsageError(
                f"{self.url} is no Prometheus: {error} Give its address with --prometheus"
            ) from error
        except RefusedQueryError as error:
            raise UsageError(f"Prometheus at {self.url} refuses {query!r}: {error}") from error

    def labels_of(self, query: SeriesQuery) -> list[Labels]:
        """The groups that a query has now."""
        return [sample.labels for sample in self.vector(promql(query))]

    def names_of(self, namespace: str, pods: tuple[str, ...]) -> frozenset[str]:
        """Names of all metrics that these pods have."""
        member = Member("pod", one_of(pods), "namespace", namespace)
        query = f"count by (__name__) ({{{conditions_text(member.matchers())}}})"
        return frozenset(sample.labels.get("__name__", "") for sample in self.vector(query))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
