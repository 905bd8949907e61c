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
from typing import Any

import requests

from canary.access.scan import _parse_findings, _parse_scanned_files
from canary.analyze import time_range
from canary.analyze.matchers import parse_matchers
from canary.analyze.samples import SkippedRows, judge_samples
from canary.api.config_file import load_config
from canary.api.fields import parse_duration
from canary.api.resource import load_releases
from canary.api.yaml_documents import read_documents
from canary.backtest.releases_csv import parse_releases
from canary.cli.kubeconfig import list_contexts
from canary.core.evidence.policy import RatioPolicy
from canary.errors import CanaryError
from canary.init.migration import convert_objects
from canary.kube.api_errors import ApiResponse
from canary.kube.releases import parse_request
from canary.kube.workloads import autoscaler
from canary.kube.workloads.names import REJECTED
from canary.kube.workloads.rejection import read_rejection
from canary.loadtest import external_tools
from canary.loadtest.generator.request_file import read_csv, read_requests
from canary.loadtest.generator.text_template import parse_template
from canary.loadtest.thresholds import LoadFigures
from canary.metrics import authentication
from canary.metrics.exposition import metric_names, parse_samples
from canary.metrics.options import PrometheusFile
from canary.metrics.own_queries import confine_expression
from canary.metrics.query_api import DecodedResponse, QueryError
from canary.metrics.selectors import parse_selector
from canary.render import incident
from canary.routers.split import SAVED_WEIGHTS, _read_saved
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
    "a long number with a letter": "9" * 100_000 + "x",
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
    "nested objects": '{"a":',
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


BAD_JSON = (
    "opening brackets",
    "nested objects",
    "digits",
    "quotes",
    "backslashes",
    "spaces",
    "lone surrogates",
    "NULs",
)
BAD_TEMPLATES = ("letters", "spaces", "opening braces with spaces", "closed braces", "dots")
KINDS = {
    **dict.fromkeys(("YAML", "release", "requests", "configuration file"), BAD_YAML),
    "kubeconfig": ("nested flow", "anchors", "lone surrogates", "NULs"),
    **dict.fromkeys(("k6 summary", "oha output", "ast-grep findings", "user command"), BAD_JSON),
    **dict.fromkeys(("rejected template", "saved weights", "autoscaler note"), BAD_JSON),
    **dict.fromkeys(("API server", "OAuth token"), BAD_JSON),
    **dict.fromkeys(("Rollout", "Canary"), BAD_TEMPLATES),
}
"""Texts for parsers that take seconds for any, or whose format most are alike for; else all."""


def texts(parser: str) -> Iterator[str]:
    """1 MiB of each kind, after each beginning that brings the parser to it."""
    for kind in KINDS.get(parser, UNITS):
        for beginning in BEGINNINGS if parser in {"exposition", "selector", "matchers"} else ("",):
            yield (beginning + UNITS[kind] * (MIB // len(UNITS[kind])))[:MIB]


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _annotated(name: str, text: str) -> dict[str, Any]:
    return {"metadata": {"name": "a", "annotations": {name: text}}}


def _from_file(read: Callable[[Path], object]) -> Callable[[str], object]:
    """Return a parser of text that reads a file."""

    def parse(text: str) -> object:
        with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
            Path(file.name).write_bytes(_encoded(text))
            return read(Path(file.name))

    return parse


def _load_tool(name: str, figures: Callable[[str], LoadFigures]) -> Callable[[str], object]:
    return lambda text: external_tools._parse_output(name, figures, text)  # its errors


def _convert_rollout(text: str) -> None:
    """Text in every field of an Argo Rollout and its template that is searched by a regex."""
    metric = {"name": "a", "successCondition": text, "provider": {"prometheus": {"query": text}}}
    analysis = {"templates": [{"templateName": "t"}], "args": [{"name": "a", "value": text}]}
    strategy = {"canary": {"steps": [{"setWeight": 5}, {"pause": {"duration": text}}]}}
    strategy["canary"]["analysis"] = analysis
    metadata, spec = {"name": "t"}, {"metrics": [metric]}
    objects = [
        {"kind": "AnalysisTemplate", "metadata": metadata, "spec": spec},
        {"kind": "Rollout", "metadata": metadata, "spec": {"strategy": strategy}},
    ]
    for item in objects:
        item["apiVersion"] = "argoproj.io/v1alpha1"
    for conversion in convert_objects(objects):
        conversion.render()


def _convert_canary(text: str) -> None:
    """Text in every field of a Flagger Canary and its template that is searched by a regex."""
    metadata = {"name": "t"}
    metric = {"name": "a", "templateRef": {"name": "t"}, "interval": text, "query": text}
    analysis = {"interval": text, "maxWeight": 50, "stepWeight": 10, "metrics": [metric]}
    spec = {"targetRef": {"name": text}, "service": {"port": 80}, "analysis": analysis}
    objects = [
        {"kind": "MetricTemplate", "metadata": metadata, "spec": {"query": text}},
        {"kind": "Canary", "metadata": metadata, "spec": spec},
    ]
    for item in objects:
        item["apiVersion"] = "flagger.app/v1beta1"
    for conversion in convert_objects(objects):
        conversion.render()


def _prometheus(text: str) -> None:
    """An answer of Prometheus; one that is not JSON is a QueryError."""
    response = requests.Response()
    response.status_code, response.raw = 200, BytesIO(_encoded(text))
    try:
        DecodedResponse(response)
    except QueryError as error:
        raise ValueError(str(error)) from error


PARSERS: dict[str, Callable[[str], object]] = {
    "exposition": lambda text: parse_samples(_encoded(text), "text/plain", {"a"}, whole=True),
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
    "requests": _from_file(read_requests),
    "data of requests": _from_file(read_csv),
    "k6 summary": _load_tool("k6", external_tools.parse_k6_summary),
    "oha output": _load_tool("oha", lambda text: external_tools.parse_oha_output(text, Any)),
    "ast-grep findings": lambda text: list(_parse_findings(text)),
    "ast-grep files": _parse_scanned_files,
    "samples": _from_file(
        lambda path: list(judge_samples(str(path), RatioPolicy(), SkippedRows()))
    ),
    "configuration file": _from_file(lambda path: load_config(path, PrometheusFile)),
    "kubeconfig": _from_file(lambda path: list_contexts(str(path))),
    "Rollout": _convert_rollout,
    "Canary": _convert_canary,
    "own query": lambda text: confine_expression(
        text[: MIB // 8], "prod"
    ),  # the API server takes 8 KiB
    "user command": parse_request,
    "rejected template": lambda text: read_rejection(_annotated(REJECTED, text)),
    "saved weights": lambda text: _read_saved(_annotated(SAVED_WEIGHTS, text)),
    "autoscaler note": autoscaler._read_note,  # of an annotation
    "API server": lambda text: ApiResponse(500, {}, _encoded(text)).details,
    "OAuth token": lambda text: authentication._parse_token(_encoded(text), "server"),
    "event": lambda text: incident._read_decision({"note": text}, 0.0),
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
