"""One page of /metrics, taken as a whole or not at all."""

import re
from collections.abc import Collection, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.samples import Sample

OPENMETRICS = "application/openmetrics-text"
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LINE = re.compile(r"[a-zA-Z_:][\w:]*\s*(\{.*\})?\s+[^\s{}]+(\s+-?\d+)?\s*", re.ASCII)


class PageError(ValueError):
    """The page is not, or not completely, an exposition."""


def samples(body: bytes, content_type: str, metrics: Collection[str]) -> list[Sample]:
    """All samples of `metrics` on the page, with the names as they stand there.

    Raises PageError when any line is wrong, or the page ends in mid-line: half a page must not
    look like a service that forgot half of its counters.
    """
    try:
        text = body.decode()
        found = _openmetrics(text) if content_type.startswith(OPENMETRICS) else _text(text, metrics)
        return [s for s in found if s.name in metrics]
    except PageError:
        raise
    except UnicodeDecodeError as error:
        raise PageError("the page is not UTF-8 text") from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise PageError(f"the page is no exposition: {str(error)[:120]}") from error


def _openmetrics(text: str) -> Iterator[Sample]:
    return _flat(openmetrics_families(text))  # type: ignore[no-untyped-call]  # the library has no types here


def _text(text: str, metrics: Collection[str]) -> Iterator[Sample]:
    """Leaves the comments out: told that `x` is a counter, the parser renames it to `x_total`."""
    if not text.endswith("\n"):
        raise PageError("the page is empty or ends in mid-line")
    wanted: list[str] = []
    for line in text.split("\n"):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if not _LINE.fullmatch(bare):
            raise PageError(f"expected a sample, found {bare[:80]!r}")
        if (name := _NAME.match(bare)) and name[0] in metrics:
            wanted.append(bare)
    return _flat(text_families("\n".join(wanted) + "\n"))


def _flat(families: Iterable[Metric]) -> Iterator[Sample]:
    return (sample for family in families for sample in family.samples)
