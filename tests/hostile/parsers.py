"""Every parser of foreign text, and text that is as bad for it as 1 MiB can be.

`python -m tests.hostile.parsers NAME` runs one parser against all texts, in a process that the
kernel ends at its limit of CPU, and prints the length of the longest error message.
"""

import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import requests

from canary.analyze import time_range
from canary.analyze.matchers import parse_matchers
from canary.api.fields import parse_duration
from canary.api.resource import load_releases
from canary.api.yaml_documents import read_documents
from canary.backtest.releases_csv import parse_releases
from canary.errors import CanaryError
from canary.loadtest.generator.request_file import read_requests
from canary.loadtest.generator.text_template import parse_template
from canary.metrics.exposition import metric_names, samples
from canary.metrics.query_api import DecodedResponse, QueryError
from canary.metrics.selectors import parse_selector
from canary.text import sanitize
from canary.text.regex import check_regex, full_match

MIB = 1 << 20
SECONDS = 100
"""CPU for all texts together; each of the quadratic parsers of the past needed more for one."""
UNITS = {
    "spaces": " ",
    "line breaks": "\n",
    "tabs": "\t",
    "digits": "9",
    "letters": "a",
    "dots": ".",
    "quotes": '"',
    "single quotes": "'",
    "backslashes": "\\",
    "opening braces": "{",
    "opening brackets": "[",
    "opening parentheses": "(",
    "opening braces with spaces": "{{ ",
    "closed braces": "{{a}} ",
    "commas": ",",
    "slashes": "/",
    "dashes": "-",
    "percent signs": "%",
    "nested flow": "[{a: ",
    "anchors": "&a ",
    "comments": "# a\n",
    "documents": "---\n",
    "documents with a value": "---\na\n",
    "list items": "- ",
    "list lines": "- a\n",
    "keys": "a: 1\n",
    "long keys": "? a\n",
    "labels": 'a="b",',
    "labels without quotes": "a=b,",
    "regexes": 'a=~"(a+)+$",',
    "escapes": 'a="\\\\\\"",',
    "samples": 'a{b="c"} 1\n',
    "names": "a ",
    "metrics": "a{",
    "durations": "1h",
    "powers": "1e9",
    "lone surrogates": "\udcff",
    "control characters": "\x1b[31m",
    "NULs": "\0",
    "CSV": "a,b\n",
    "headers": "a: b, ",
    "URLs": "http://a@",
    "regex groups": "(a+)+",
    "pool names": "HTTPSConnectionPool(",
    "weights": " (weight 1",
}
EXPECTED = (CanaryError, ValueError)
BAD_YAML = (
    "keys",
    "documents with a value",
    "nested flow",
    "anchors",
    "list items",
    "lone surrogates",
)
BEGINNINGS = ("", 'a{a="', "a{")


def texts(parser: str) -> Iterator[str]:
    """1 MiB of each kind, after each beginning that brings the parser to it."""
    slow = parser in {"YAML", "release", "requests"}
    for kind in BAD_YAML if slow else UNITS:
        for beginning in BEGINNINGS if parser in {"exposition", "selector", "matchers"} else ("",):
            yield (beginning + UNITS[kind] * (MIB // len(UNITS[kind])))[:MIB]


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _requests(text: str) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_bytes(_encoded(text))
        read_requests(Path(file.name))


def _prometheus(text: str) -> None:
    """An answer of Prometheus; one that is not JSON is a QueryError."""
    response = requests.Response()
    response.status_code, response.raw = 200, BytesIO(_encoded(text))
    try:
        DecodedResponse(response)
    except QueryError as error:
        raise ValueError(str(error)) from error


PARSERS: dict[str, Callable[[str], object]] = {
    "exposition": lambda text: samples(_encoded(text), "text/plain", {"a"}, whole=True),
    "Prometheus JSON": _prometheus,
    "metric names": lambda text: metric_names(_encoded(text)),
    "selector": parse_selector,
    "matchers": lambda text: parse_matchers(text, "--canary"),
    "braces": parse_template,
    "duration": parse_duration,
    "time": lambda text: time_range.parse_time(text, 0.0, "--start"),
    "time ago": lambda text: time_range.parse_time(f"-{text}", 0.0, "--start"),
    "YAML": lambda text: read_documents(_encoded(text)),
    "release": lambda text: load_releases(_encoded(text), "a.yaml"),
    "requests": _requests,
    "CSV of releases": lambda text: parse_releases(text.splitlines(), "a.csv", lambda *_: 1.0),
    "regex": check_regex,
    "text for a regex": lambda text: full_match("(a|b)*(x+x+)+y", text),
    "clean": sanitize.strip_controls,
    "one line": sanitize.make_one_line,
    "HTML": sanitize.escape_html_text,
    "escaped": sanitize.escape_unprintable,
}


def main(name: str) -> None:
    """Run one parser; raises what is none of the errors that callers expect."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    longest = 0
    for text in texts(name):
        try:
            PARSERS[name](text)
        except EXPECTED as error:
            longest = max(longest, len(str(error)))
    print(longest)  # noqa: T201  # what the test reads


if __name__ == "__main__":
    main(sys.argv[1])
