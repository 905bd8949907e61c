r"""One page of /metrics, taken as a whole or not at all.

A page is foreign text: the parser is linear in its length, whatever the page holds, and messages
never repeat what stands there. It takes what Prometheus takes, in both formats, and looks at names
and values of the wanted metrics only. A worked example:

    # TYPE pool gauge                      a comment
    pool{name="a",sql="x \"y\" }"} 3 17e8  name, labels, value, time (not used)
    {"http.requests",code="500"} 4         the same with a quoted name
    hits_bucket{le="1.0"} 4 # {id="7"} 1   what follows the value is not looked at
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
    """Of one page; a larger one is a failure that says so."""

    size: int = 2 << 20
    """Bytes after decompression."""
    lines: int = 50_000
    line: int = 16_384
    """Characters of a line; no exporter writes longer ones."""
    series: int = 5000
    """Samples of the metrics that are asked for, on the page and of a release together."""


USUAL_LIMITS = PageLimits()
# Each of these matches in one pass: no part can match what the part after it can.
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(
    r'[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"([^"\\]*(?:\\.[^"\\]*)*)")[ \t]*', re.ASCII
)
_VALUE = re.compile(r'=[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class PageError(ValueError):
    """The page is not, or not completely, an exposition."""


def samples(
    body: bytes,
    content_type: str,
    metrics: Collection[str],
    *,
    whole: bool = False,
    limits: PageLimits = USUAL_LIMITS,
) -> list[Sample]:
    """All samples of `metrics` on the page, with the names as they stand there.

    `whole` says that the page is known to be complete, so that its last newline may be missing.

    Raises PageError when it is too large, any line is wrong, or the page may end in mid-line: half
    a page must not look like a service that forgot half of its counters.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise PageError("the page is not UTF-8 text") from error
    lines = text.split("\n")
    if content_type.lower().startswith(OPENMETRICS):
        last = next((line for line in reversed(lines) if line.strip()), "")
        if last.strip() != "# EOF":
            raise PageError("the page of OpenMetrics has no '# EOF' at its end")
    elif not text or not (whole or text.endswith("\n")):
        raise PageError("the page is empty or ends in mid-line")
    if len(lines) > limits.lines:
        raise PageError(f"the page has more than {limits.lines:,} lines")
    found = list(islice(_samples(lines, metrics, limits.line), limits.series + 1))
    if len(found) > limits.series:
        raise PageError(f"more than {limits.series:,} series of what is asked for are on the page")
    return found


def metric_names(body: bytes) -> frozenset[str]:
    """Names of all metrics on a page; lines that are no samples are left out."""
    lines = (line.strip() for line in body.decode(errors="replace").split("\n"))
    return frozenset(found[0] for line in lines if (found := _NAME.match(line)))


def _samples(lines: list[str], metrics: Collection[str], longest: int) -> Iterator[Sample]:
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if len(bare) > longest:
            raise PageError(f"line {number} is longer than {longest:,} characters")
        try:
            sample = _sample(bare)
        except ValueError as error:
            raise PageError(f"line {number} is no sample: {error}") from error
        if sample.name in metrics:
            yield sample


def _sample(line: str) -> Sample:
    """Raises ValueError that says what was expected."""
    found = _NAME.match(line)
    name, at = (found[0], found.end()) if found else ("", 0)
    while at < len(line) and line[at] in " \t":
        at += 1
    labels: dict[str, str] = {}
    if at < len(line) and line[at] == "{":
        quoted, at = _labels(line, at + 1, labels)
        name = name or quoted
    if not name:
        raise ValueError("a metric's name is expected")
    # Only the value counts: a time and an exemplar may follow.
    rest = line[at:].split(None, 1)
    if not rest:
        raise ValueError("a number is expected after the labels")
    return Sample(name, labels, _number(rest[0]))


def _labels(line: str, at: int, labels: dict[str, str]) -> tuple[str, int]:
    """Fills `labels` from what follows `{`: the quoted name, if any, and where the rest begins."""
    name = ""
    while True:
        if line[at : at + 1] == "}":
            return name, at + 1
        label = _LABEL.match(line, at)
        if label is None:
            raise ValueError("a label's name is expected")
        key, at = label[1] or _unescaped(label[2] or ""), label.end()
        value = _VALUE.match(line, at)
        if value is not None:
            labels[key], at = _unescaped(value[1]), value.end()
        elif label[2] is not None and not name:
            name = key
        else:
            raise ValueError("a label's value in quotes is expected")
        if line[at : at + 1] == ",":
            at += 1
            while line[at : at + 1] in {" ", "\t"}:
                at += 1
        elif line[at : at + 1] != "}":
            raise ValueError("a comma or } is expected after a label")


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[0]), text)


def _number(text: str) -> float:
    """As Go reads it: no underscores, hexadecimal with an exponent, NaN and Inf in any case."""
    if "_" in text or not text.isascii():
        raise ValueError("a number is expected after the labels")
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
    raise ValueError("a number is expected after the labels")
