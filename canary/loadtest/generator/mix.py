"""The requests of a load, with weights and data for their placeholders. Pure, and picklable."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from urllib.parse import quote

from canary.errors import UsageError
from canary.loadtest.generator.text_template import TextTemplate

NUMBER_NAME = "number"
"""Placeholder that every text may use: the number of the request, unique in a run."""


class RowOrder(StrEnum):
    """How rows of data are assigned to requests."""

    RANDOM = "random"
    SEQUENCE = "sequence"
    """In order, starting again after the last."""


ROOT_PATH = TextTemplate(("/",))


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """One kind of request."""

    name: str
    weight: float = 1.0
    method: str = "GET"
    path: TextTemplate = ROOT_PATH
    """Inserted values are percent-encoded."""
    headers: Mapping[str, TextTemplate] = field(default_factory=dict)
    body: TextTemplate | None = None
    in_json: bool = False
    """The body is JSON, so inserted values are escaped."""
    expected: frozenset[int] | None = None
    """Successful statuses; None: 200 to 399."""

    @property
    def names(self) -> frozenset[str]:
        """The placeholders of all its texts."""
        texts = [self.path, *self.headers.values(), *([self.body] if self.body else [])]
        return frozenset(name for text in texts for name in text.names)

    def ok(self, status: int) -> bool:
        """Return whether the status counts as success."""
        return status in self.expected if self.expected else 200 <= status < 400  # noqa: PLR2004

    def fill_in(self, row: Mapping[str, str]) -> "RenderedRequest":
        """Return the request with the values of one row inserted."""
        return RenderedRequest(
            self,
            self.path.fill(row, _percent_encoded),
            [f"{name}: {text.fill(row)}" for name, text in self.headers.items()],
            None if self.body is None else self.body.fill(row, self._select_escape).encode(),
        )

    @property
    def _select_escape(self) -> Callable[[str], str]:
        return _json_escaped if self.in_json else str


@dataclass(frozen=True, slots=True)
class RenderedRequest:
    """One request as it is sent."""

    kind: RequestTemplate
    path: str
    headers: list[str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class RequestData:
    """Data for placeholders: a table, or values generated from the row number (1 to `count`)."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    made_up: Mapping[str, TextTemplate] = field(default_factory=dict)
    count: int = 1
    order: RowOrder = RowOrder.RANDOM

    @property
    def names(self) -> frozenset[str]:
        """The placeholders that requests may use."""
        own = {NUMBER_NAME, "row"} if self.made_up else {NUMBER_NAME}
        return frozenset(self.columns) | frozenset(self.made_up) | own

    def row(self, index: int, number: int) -> dict[str, str]:
        """Return the values of one row (from 0) for the request with that number."""
        if self.made_up:
            own = {NUMBER_NAME: str(number), "row": str(index + 1)}
            return own | {name: text.fill(own) for name, text in self.made_up.items()}
        return {NUMBER_NAME: str(number)} | {key: rows[index] for key, rows in self.columns.items()}


@dataclass(frozen=True, slots=True)
class RequestMix:
    """All kinds of requests with their weights, and the data for their placeholders."""

    requests: tuple[RequestTemplate, ...] = (RequestTemplate("GET /"),)
    rows: RequestData = field(default_factory=RequestData)

    def __post_init__(self) -> None:
        """Raise UsageError for unknown placeholders, or if no weight is above 0."""
        if not any(request.weight > 0 for request in self.requests):
            raise UsageError("expected a request with a weight above 0, found none")
        for request in self.requests:
            for unknown in sorted(request.names - self.rows.names):
                known = ", ".join(sorted(self.rows.names))
                raise UsageError(
                    f"request {request.name}: the data have no field {{{{ {unknown} }}}} "
                    f"(available: {known})"
                )

    def draw(self, seed: str) -> Callable[[int], RenderedRequest]:
        """Return a function that draws the n-th request; the same seed draws the same requests."""
        chance = random.Random(seed)  # noqa: S311 - reproducible, and no secret
        weights = list(accumulate(request.weight for request in self.requests))
        fixed = {one.name: one.fill_in({}) for one in self.requests if not one.names}

        def drawn(number: int) -> RenderedRequest:
            (kind,) = chance.choices(self.requests, cum_weights=weights)
            if ready := fixed.get(kind.name):
                return ready
            index = number if self.rows.order is RowOrder.SEQUENCE else chance.getrandbits(48)
            return kind.fill_in(self.rows.row(index % self.rows.count, number))

        return drawn


def _percent_encoded(value: str) -> str:
    return quote(value, safe="")


def _json_escaped(value: str) -> str:
    return json.dumps(value)[1:-1]
