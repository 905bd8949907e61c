"""SARIF as its readers want it: the parts of the 2.1.0 schema that a result uses, written out."""

import json

import pytest
from jsonschema import Draft202012Validator

from canary.results.sarif import FindingLevel, SarifFinding, render_sarif

TEXT = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string", "minLength": 1}},
}
LOCATION = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation", "region"],
            "additionalProperties": False,
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "required": ["uri"],
                    "additionalProperties": False,
                    "properties": {
                        "uri": {
                            "type": "string",
                            "pattern": r"^[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$",
                        }
                    },
                },
                "region": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "startLine": {"type": "integer", "minimum": 1},
                        "startColumn": {"type": "integer", "minimum": 1},
                    },
                },
            },
        }
    },
}
RUN = {
    "type": "object",
    "required": ["tool", "results"],
    "additionalProperties": False,
    "properties": {
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "tool": {
            "type": "object",
            "required": ["driver"],
            "properties": {
                "driver": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string"},
                        "version": {"type": "string"},
                        "rules": {
                            "type": "array",
                            "uniqueItems": True,
                            "items": {
                                "type": "object",
                                "required": ["id"],
                                "additionalProperties": False,
                                "properties": {"id": {"type": "string"}, "shortDescription": TEXT},
                            },
                        },
                    },
                }
            },
        },
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message"],
                "additionalProperties": False,
                "properties": {
                    "ruleId": {"type": "string"},
                    "ruleIndex": {"type": "integer", "minimum": 0},
                    "level": {"enum": ["none", "note", "warning", "error"]},
                    "message": TEXT,
                    "locations": {"type": "array", "items": LOCATION},
                },
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"enum": ["2.1.0"]},
        "runs": {"type": "array", "minItems": 1, "items": RUN},
    },
}
FINDINGS = (
    SarifFinding("deploy/auth.yaml", 10, 17, "spec", "expected a duration, found 'soon'"),
    SarifFinding(
        "./a b/ä.yaml", 0, 0, "cluster", "line one\nline \x1b[31mtwo", FindingLevel.WARNING
    ),
    SarifFinding("/srv/auth.yaml", 3, 1, "spec", "again"),
)


@pytest.mark.parametrize("findings", [FINDINGS, ()], ids=["findings", "none"])
def test_it_is_valid(findings):
    """With findings and without, which means that all is well."""
    Draft202012Validator(SCHEMA).validate(json.loads(render_sarif(findings, "0.1.0")))


def test_each_finding_is_beside_its_line():
    """Rule, level, one-line message, a URI that stays one, and lines that begin at 1."""
    (run,) = json.loads(render_sarif(FINDINGS, "0.1.0", {"spec": "The file is wrong."}))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [(one["id"], one["shortDescription"]["text"]) for one in rules] == [
        ("cluster", "cluster"),
        ("spec", "The file is wrong."),
    ]
    results = run["results"]
    assert [rules[one["ruleIndex"]]["id"] for one in results] == ["spec", "cluster", "spec"]
    places = [one["locations"][0]["physicalLocation"] for one in results]
    assert [one["artifactLocation"]["uri"] for one in places] == [
        "deploy/auth.yaml",
        "a%20b/%C3%A4.yaml",
        "file:///srv/auth.yaml",
    ]
    assert places[0]["region"] == {"startLine": 10, "startColumn": 17}
    assert places[1]["region"] == {"startLine": 1, "startColumn": 1}
    assert results[1]["message"]["text"] == "line one line �[31mtwo"
    assert [one["level"] for one in results] == ["error", "warning", "error"]
