"""Renders findings in files as SARIF 2.1.0, which code hosts show beside the lines. Pure.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from canary.text.sanitize import make_one_line

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


class FindingLevel(StrEnum):
    """Severity of a finding."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class SarifFinding:
    """A finding and its location."""

    file: str
    """Path relative to the root of the repository, or absolute."""
    line: int
    """Line number, from 1."""
    column: int
    """Column, from 1, in characters."""
    rule: str
    """Name of the rule, such as `spec`; stable, because people suppress findings by it."""
    message: str
    level: FindingLevel = FindingLevel.ERROR


def render_sarif(
    findings: Iterable[SarifFinding], version: str, rules: Mapping[str, str] | None = None
) -> str:
    """Return one run as indented JSON with a trailing newline.

    `version` is that of this program; `rules` maps names of rules to descriptions.
    """
    found = list(findings)
    names = sorted({one.rule for one in found})
    run = {
        "tool": {"driver": _build_driver(names, version, rules or {})},
        "columnKind": "unicodeCodePoints",
        "results": [_build_result(one, names) for one in found],
    }
    body = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _build_driver(
    names: Sequence[str], version: str, rules: Mapping[str, str]
) -> Mapping[str, object]:
    described = [
        {"id": name, "shortDescription": {"text": make_one_line(rules.get(name, name))}}
        for name in names
    ]
    return {"name": "canary", "version": version, "rules": described}


def _build_result(finding: SarifFinding, names: Sequence[str]) -> Mapping[str, object]:
    region = {"startLine": max(finding.line, 1), "startColumn": max(finding.column, 1)}
    return {
        "ruleId": finding.rule,
        "ruleIndex": names.index(finding.rule),
        "level": str(finding.level),
        "message": {"text": make_one_line(finding.message)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _file_uri(finding.file)},
                    "region": region,
                }
            }
        ],
    }


def _file_uri(file: str) -> str:
    """Return a URI reference; an absolute path gets the scheme `file`."""
    path = quote(
        make_one_line(file).replace("\\", "/").removeprefix("./"), safe="/-._~!$&'()*+,;=@"
    )
    return f"file://{path}" if path.startswith("/") else path
