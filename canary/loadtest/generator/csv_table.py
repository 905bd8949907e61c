"""Reads data from a CSV file: a row per request, a column per placeholder."""

import csv
import io
from pathlib import Path

from canary.errors import UsageError

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
        raise UsageError(
            f"{path}: at most {MAX_CSV_BYTES >> 20} MiB of CSV are expected, found more"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{content[error.start]:02x}"
        raise UsageError(f"{path}:{line}: UTF-8 text is expected, found {found}") from error


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
