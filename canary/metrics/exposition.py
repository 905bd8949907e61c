r"""Parses a page of /metrics, completely or not at all.

A page is untrusted text: the parser takes time linear in its length, and messages never quote it.
It accepts what Prometheus accepts, in both formats, and reads names and values of the requested
metrics only. Example:

    # TYPE pool gauge                      a comment
    pool{name="a",sql="x \"y\" }"} 3 17e8  name, labels, value, time (not used)
    {"http.requests",code="500"} 4         the same with a quoted name
    hits_bucket{le="1.0"} 4 # {id="7"} 1   text after the value is ignored
    # EOF                                  ends a page of OpenMetrics
"""

import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from prometheus_client.samples import Sample

OPENMETRICS = "application/openmetrics-text"


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Limits of a page; a larger page is an error with a message."""

    size: int = 2 << 20
    """Bytes after decompression."""
    lines: int = 50_000
    line: int = 16_384
    """Maximum number of characters of a line; no exporter writes longer ones."""
    series: int = 5000
    """Maximum number of samples of the requested metrics, per page and per release."""


USUAL_LIMITS = PageLimits()
# Each pattern matches in linear time: no part matches what the next part can match.
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(
    r'[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"([^"\\]*(?:\\.[^"\\]*)*)")[ \t]*', re.ASCII
)
_VALUE = re.compile(r'=[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class PageError(ValueError):
    """The page is not a complete exposition."""


def parse_samples(
    body: bytes,
    content_type: str,
    metrics: Collection[str],
    *,
    whole: bool = False,
    limits: PageLimits = USUAL_LIMITS,
) -> list[Sample]:
    """Return all samples of `metrics` on the page, with the names as written there.

    `whole`: the page is known to be complete, so its last newline may be missing.

    Raises PageError if it is too large, a line is invalid, or the page may end in the middle of a
    line: a truncated page must not look like a service that lost half of its counters.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise PageError("expected a page of UTF-8 text, found other bytes") from error
    lines = text.split("\n")
    if content_type.lower().startswith(OPENMETRICS):
        last = next((line for line in reversed(lines) if line.strip()), "")
        if last.strip() != "# EOF":
            raise PageError("expected '# EOF' at the end of the OpenMetrics page, found none")
    elif not text or not (whole or text.endswith("\n")):
        raise PageError(
            "expected a complete page, found an empty one or one that ends in the middle of a line"
        )
    if len(lines) > limits.lines:
        raise PageError(f"expected at most {limits.lines:,} lines on the page, found more")
    found = list(islice(_parse_lines(lines, metrics, limits.line), limits.series + 1))
    if len(found) > limits.series:
        raise PageError(
            f"expected at most {limits.series:,} requested series on the page, found more"
        )
    return found


def metric_names(body: bytes) -> frozenset[str]:
    """Return the names of all metrics on a page; invalid lines are skipped."""
    lines = (line.strip() for line in body.decode(errors="replace").split("\n"))
    return frozenset(found[0] for line in lines if (found := _NAME.match(line)))


def _parse_lines(lines: list[str], metrics: Collection[str], longest: int) -> Iterator[Sample]:
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if len(bare) > longest:
            raise PageError(f"line {number}: expected at most {longest:,} characters, found more")
        try:
            sample = _parse_sample(bare)
        except ValueError as error:
            raise PageError(f"line {number} is not a sample: {error}") from error
        if sample.name in metrics:
            yield sample


def _parse_sample(line: str) -> Sample:
    """Parse a line. Raises ValueError that names what was expected."""
    found = _NAME.match(line)
    name, at = (found[0], found.end()) if found else ("", 0)
    while at < len(line) and line[at] in " \t":
        at += 1
    labels: dict[str, str] = {}
    if at < len(line) and line[at] == "{":
        quoted, at = _parse_labels(line, at + 1, labels)
        name = name or quoted
    if not name:
        raise ValueError("expected a metric name")
    # Only the value is read: a time and an exemplar may follow.
    rest = line[at:].split(None, 1)
    if not rest:
        raise ValueError("expected a number after the labels")
    return Sample(name, labels, _parse_number(rest[0]))


def _parse_labels(line: str, at: int, labels: dict[str, str]) -> tuple[str, int]:
    """Fill `labels` from the text after `{`; return the quoted name, if any, and the end."""
    name = ""
    while True:
        if line[at : at + 1] == "}":
            return name, at + 1
        label = _LABEL.match(line, at)
        if label is None:
            raise ValueError("expected a label name")
        key, at = label[1] or _unescape_text(label[2] or ""), label.end()
        value = _VALUE.match(line, at)
        if value is not None:
            labels[key], at = _unescape_text(value[1]), value.end()
        elif label[2] is not None and not name:
            name = key
        else:
            raise ValueError("expected a quoted label value")
        if line[at : at + 1] == ",":
            at += 1
            while line[at : at + 1] in {" ", "\t"}:
                at += 1
        elif line[at : at + 1] != "}":
            raise ValueError("expected a comma or } after a label")


def _unescape_text(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[0]), text)


def _parse_number(text: str) -> float:
    """Parse a number as Go does: no underscores, hexadecimal with exponent, NaN in any case."""
    if "_" in text or not text.isascii():
        raise ValueError("expected a number after the labels")
    try:
        return float(text)
    except ValueError:
        pass
    bare = text.lstrip("+-").lower()
    if bare.startswith("0x") and "p" in bare:
        try:
            return float.fromhex(text)
        except (ValueError, OverflowError):
            return math.nan
    raise ValueError("expected a number after the labels")
