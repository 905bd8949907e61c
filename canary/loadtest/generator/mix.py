"""What is sent: requests with weights and the data they are filled with. Pure, and picklable."""

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
"""A name that every text may use: counts the requests of a run, so no two get the same."""


class RowOrder(StrEnum):
    """Which row of the data a request gets."""

    RANDOM = "random"
    SEQUENCE = "sequence"
    """One after the other, and from the beginning again."""


ROOT_PATH = TextTemplate(("/",))


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """One kind of request."""

    name: str
    weight: float = 1.0
    method: str = "GET"
    path: TextTemplate = ROOT_PATH
    """Values that are filled in are percent-encoded."""
    headers: Mapping[str, TextTemplate] = field(default_factory=dict)
    body: TextTemplate | None = None
    in_json: bool = False
    """The body is JSON: values that are filled in are escaped."""
    expected: frozenset[int] | None = None
    """The statuses that are ok; None: 200 to 399."""

    @property
    def names(self) -> frozenset[str]:
        """All names that its texts use."""
        texts = [self.path, *self.headers.values(), *([self.body] if self.body else [])]
        return frozenset(name for text in texts for name in text.names)

    def ok(self, status: int) -> bool:
        """Whether that is what was wanted."""
        return status in self.expected if self.expected else 200 <= status < 400  # noqa: PLR2004

    def written(self, row: Mapping[str, str]) -> "RenderedRequest":
        """The request with the values of one row."""
        return RenderedRequest(
            self,
            self.path.fill(row, _percent_encoded),
            [f"{name}: {text.fill(row)}" for name, text in self.headers.items()],
            None if self.body is None else self.body.fill(row, self._escape).encode(),
        )

    @property
    def _escape(self) -> Callable[[str], str]:
        return _json_escaped if self.in_json else str


@dataclass(frozen=True, slots=True)
class RenderedRequest:
    """One request as it goes out."""

    kind: RequestTemplate
    path: str
    headers: list[str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class RequestData:
    """The data: a table, or users made up from their number (1 to `count`)."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    made_up: Mapping[str, TextTemplate] = field(default_factory=dict)
    count: int = 1
    order: RowOrder = RowOrder.RANDOM

    @property
    def names(self) -> frozenset[str]:
        """What requests may use."""
        own = {NUMBER_NAME, "row"} if self.made_up else {NUMBER_NAME}
        return frozenset(self.columns) | frozenset(self.made_up) | own

    def row(self, index: int, number: int) -> dict[str, str]:
        """The values of one row (from 0) for the request of that number."""
        if self.made_up:
            own = {NUMBER_NAME: str(number), "row": str(index + 1)}
            return own | {name: text.fill(own) for name, text in self.made_up.items()}
        return {NUMBER_NAME: str(number)} | {key: rows[index] for key, rows in self.columns.items()}


@dataclass(frozen=True, slots=True)
class RequestMix:
    """All kinds of requests with their weights, and the data."""

    requests: tuple[RequestTemplate, ...] = (RequestTemplate("GET /"),)
    rows: RequestData = field(default_factory=RequestData)

    def __post_init__(self) -> None:
        """Raises UsageError for names that nothing fills in, and weights that cannot be."""
        if not any(request.weight > 0 for request in self.requests):
            raise UsageError("a request with a weight above 0 is expected, found none")
        for request in self.requests:
            for unknown in sorted(request.names - self.rows.names):
                known = ", ".join(sorted(self.rows.names))
                raise UsageError(
                    f"request {request.name}: {{{{ {unknown} }}}} is in no data "
                    f"(there are: {known})"
                )

    def draw(self, seed: str) -> Callable[[int], RenderedRequest]:
        """Which request goes out as the n-th; for a seed always the same."""
        wishes = random.Random(seed)  # noqa: S311 - reproducible, and no secret
        weights = list(accumulate(request.weight for request in self.requests))
        fixed = {one.name: one.written({}) for one in self.requests if not one.names}

        def drawn(number: int) -> RenderedRequest:
            (kind,) = wishes.choices(self.requests, cum_weights=weights)
            if ready := fixed.get(kind.name):
                return ready
            index = number if self.rows.order is RowOrder.SEQUENCE else wishes.getrandbits(48)
            return kind.written(self.rows.row(index % self.rows.count, number))

        return drawn


def _percent_encoded(value: str) -> str:
    return quote(value, safe="")


def _json_escaped(value: str) -> str:
    return json.dumps(value)[1:-1]
