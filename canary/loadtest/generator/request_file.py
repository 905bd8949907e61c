"""Reads the YAML file of requests: `requests` with weights, and `data` for their placeholders."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from canary.api.fields import Expect, Frozen
from canary.api.messages import path_and_sentence
from canary.api.yaml_documents import Document, read_documents
from canary.errors import UsageError
from canary.loadtest.generator.mix import (
    NUMBER_NAME,
    RequestData,
    RequestMix,
    RequestTemplate,
    RowOrder,
)
from canary.loadtest.generator.text_template import TextTemplate, parse_template

_MAX_BYTES = 1 << 20
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

HttpMethod = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{1,20}$"), Expect("a method such as GET or POST")
]
TargetPath = Annotated[
    str,
    StringConstraints(pattern=r"^/[^\s\x00-\x1f]*( *[^\s\x00-\x1f]+)*$", max_length=8192),
    Expect("a path that begins with / (at most 8,192 characters)"),
]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), Expect("the name of a header")
]
HeaderValue = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$"), Expect("text in one line")
]
HttpStatus = Annotated[int, Field(ge=100, le=599), Expect("a status from 100 to 599")]
RequestWeight = Annotated[
    float, Field(gt=0, le=1e6), Expect("a weight above 0 and at most 1000000")
]
RowCount = Annotated[int, Field(ge=1, le=10**9), Expect("a count from 1 to 1000000000")]


class RequestSpec(Frozen):
    """One kind of request."""

    name: str | None = None
    weight: RequestWeight = 1.0
    method: HttpMethod = "GET"
    path: TargetPath = "/"
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: str | None = None
    json_: JsonValue | None = Field(default=None, alias="json")
    expect: tuple[HttpStatus, ...] | None = None


class DataSpec(Frozen):
    """Data for the placeholders: a CSV file, or values generated from the row number."""

    csv: str | None = None
    count: RowCount | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    order: RowOrder = RowOrder.RANDOM


class RequestFileSpec(Frozen):
    """The file."""

    requests: Annotated[tuple[RequestSpec, ...], Field(min_length=1, max_length=100)]
    data: DataSpec = DataSpec()


def read_requests(path: Path) -> RequestMix:
    """Read and validate a file of requests.

    Raises:
        UsageError: lists every problem of the file with line and column, or of its CSV file.
    """
    spec = _validate_spec(path, _read_document(path))
    requests = tuple(_build_request(path, one) for one in spec.requests)
    rows = _build_data(path, spec.data)
    names = [one.name for one in requests]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: expected requests with different names, found {names}")
    try:
        mix = RequestMix(requests, rows)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    _check_headers(path, mix)
    return mix


def _read_document(path: Path) -> Document:
    try:
        with path.open("rb") as opened:
            documents = read_documents(opened.read(_MAX_BYTES + 1))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the file: {error.strerror}") from error
    if len(documents) != 1:
        raise UsageError(f"{path}: expected one YAML document, found {len(documents)}")
    return documents[0]


def _validate_spec(path: Path, document: Document) -> RequestFileSpec:
    spec = None
    try:
        spec = RequestFileSpec.model_validate_json(
            json.dumps(document.data), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        _add_problems(document, error.errors(include_url=False))
    if spec is None or document.problems:
        lines = [
            f"{path}:{one.line}:{one.column}: {one.where}: {one.message}"
            for one in sorted(document.problems)
        ]
        raise UsageError("\n".join(lines))
    return spec


def _add_problems(document: Document, details: list[ErrorDetails]) -> None:
    for detail in details:
        found = path_and_sentence(detail, RequestFileSpec)
        if found and not document.unreadable(found[0]):
            place = tuple(part for part in found[0] if part != "[key]")
            document.problems.append(document.build_problem(place, found[1]))


def _build_request(path: Path, spec: RequestSpec) -> RequestTemplate:
    name = spec.name or f"{spec.method} {spec.path}"
    if spec.body is not None and spec.json_ is not None:
        raise UsageError(f"{path}: request {name}: expected body or json, found both")
    is_json = spec.json_ is not None
    body = json.dumps(spec.json_, ensure_ascii=False) if is_json else spec.body
    headers = {key: _parse_text(path, name, value) for key, value in spec.headers.items()}
    if is_json and "content-type" not in {key.lower() for key in headers}:
        headers["Content-Type"] = TextTemplate(("application/json",))
    return RequestTemplate(
        name,
        spec.weight,
        spec.method,
        _parse_text(path, name, spec.path),
        headers,
        None if body is None else _parse_text(path, name, body),
        is_json,
        frozenset(spec.expect) if spec.expect else None,
    )


def _parse_text(path: Path, name: str, text: str) -> TextTemplate:
    try:
        return parse_template(text)
    except UsageError as error:
        raise UsageError(f"{path}: request {name}: {error}") from error


def _build_data(path: Path, spec: DataSpec) -> RequestData:
    if spec.csv is not None:
        if spec.count is not None or spec.fields:
            raise UsageError(f"{path}: data: expected csv, or count and fields, found both")
        columns = read_csv(path.parent / spec.csv)
        return RequestData(columns, {}, len(next(iter(columns.values()))), spec.order)
    made_up = {name: parse_template(text) for name, text in spec.fields.items()}
    for name, text in made_up.items():
        if unknown := sorted(set(text.names) - {NUMBER_NAME, "row"}):
            raise UsageError(
                f"{path}: data: {name}: expected the placeholders {{{{ row }}}} or "
                f"{{{{ number }}}}, found {unknown[0]!r}"
            )
    if spec.fields and spec.count is None:
        raise UsageError(f"{path}: data: fields require a count of rows, found none")
    return RequestData({}, made_up, spec.count or 1, spec.order)


def _check_headers(path: Path, mix: RequestMix) -> None:
    """Raise UsageError for values with control characters: a line break would end the header."""
    used = {name for one in mix.requests for text in one.headers.values() for name in text.names}
    for name in sorted(used & set(mix.rows.columns)):
        for index, value in enumerate(mix.rows.columns[name]):
            if _CONTROL_CHARACTER.search(value):
                raise UsageError(
                    f"{path}: {name} is used in a header: expected one line of text, found a line "
                    f"break or another control character in row {index + 1} of the data"
                )


MAX_CSV_BYTES = 64 << 20
_MAX_LISTED = 3


def read_csv(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the columns by name; the first line is the header.

    Raises:
        UsageError: the file cannot be read, or rows are invalid; lists their line numbers.
    """
    rows = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    header: list[str] = []
    table: list[list[str]] = []
    broken: list[str] = []
    try:
        header = _check_header(path, next(rows, []))
        for row in rows:
            if len(row) == len(header):
                table.append(row)
            elif row:
                broken.append(f"line {rows.line_num} has {len(row)}")
    except csv.Error as error:
        raise UsageError(f"{path}:{rows.line_num}: invalid CSV: {error}") from error
    if broken:
        raise UsageError(_describe_broken(path, len(header), broken))
    if not table:
        raise UsageError(f"{path}: expected at least one row below the header, found none")
    return dict(zip(header, zip(*table, strict=True), strict=True))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_CSV_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the file: {error.strerror}") from error
    if len(content) > MAX_CSV_BYTES:
        raise UsageError(f"{path}: expected at most {MAX_CSV_BYTES >> 20} MiB of CSV, found more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{content[error.start]:02x}"
        raise UsageError(f"{path}:{line}: expected UTF-8 text, found {found}") from error


def _check_header(path: Path, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    if not names or not all(names) or len(set(names)) < len(names):
        raise UsageError(
            f"{path}:1: expected a header with a different name for each column, "
            f"found {', '.join(map(repr, names))[:80] or 'nothing'}"
        )
    return names


def _describe_broken(path: Path, columns: int, broken: list[str]) -> str:
    rest = len(broken) - _MAX_LISTED
    more = f" and {rest} more" if rest > 0 else ""
    unit = "cell" if columns == 1 else "cells"
    return f"{path}: expected {columns} {unit} per row: {', '.join(broken[:_MAX_LISTED])}{more}"
