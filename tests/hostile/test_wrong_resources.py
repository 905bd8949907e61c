"""Whatever a CanaryRelease holds, it is followed or refused with a reason, and nobody else waits for it."""

import json
import unicodedata
from typing import Any

import pytest
import yaml

from canary.api import load_releases
from canary.api.yaml_documents import MAX_BYTES
from canary.errors import UsageError
from canary.kube.releases import parse_release
from canary.lint.review import LintSettings, locate_releases, review_files
from tests.hostile.wrong_resources import GOOD, STRINGS, wrong_resource

RESOURCES = 5000
LINTED = 500


def is_printable(text: str) -> bool:
    """Nothing in it moves a cursor, changes a color or turns the writing direction."""
    return not any(unicodedata.category(one) in {"Cc", "Cf", "Cs"} for one in text if one != "\n")


def refusal(resource: dict[str, Any]) -> str:
    """Why the operator does not follow the resource; "" where it does."""
    try:
        parse_release(resource)
    except UsageError as error:
        return str(error)
    return ""


def test_the_operator_follows_or_refuses_every_resource():
    """5,000 wrong ones: each is parsed, or refused with a sentence that names it."""
    outcomes = {"followed": 0, "refused": 0}
    for number in range(RESOURCES):
        resource = wrong_resource(number)
        message = refusal(resource)
        outcomes["refused" if message else "followed"] += 1
        assert not message or f"wrong-{number}" in message
        assert is_printable(message), number
    assert outcomes["refused"] > RESOURCES / 2
    assert outcomes["followed"] > RESOURCES / 50


def test_lint_says_what_is_wrong_with_every_file():
    """500 files: each has releases or problems, and a review of the releases never fails."""
    for number in range(LINTED):
        text = _as_yaml(wrong_resource(number))
        loaded = load_releases(text, "wrong.yaml")
        assert loaded.releases or loaded.problems or loaded.others, number
        assert all(is_printable(one.message) for one in loaded.problems), number
        page = locate_releases(loaded, text, None)
        assert len(review_files([page], LintSettings(None, None)).risks) == 1


def _as_yaml(resource: object) -> bytes:
    """JSON where YAML cannot hold it; both are files that people lint."""
    try:
        return yaml.safe_dump(resource).encode("utf-8")
    except (UnicodeEncodeError, yaml.YAMLError):
        return json.dumps(resource).encode("utf-8")


@pytest.mark.parametrize("place", ["name", "metric", "query", "service", "label"])
def test_hostile_strings_are_followed_or_refused_in_every_place(place: str):
    """The same strings as names, expressions and labels: 200 resources more."""
    for text in STRINGS:
        resource = json.loads(json.dumps(GOOD))
        spec = resource["spec"]
        match place:
            case "name":
                spec["target"]["name"] = text
            case "metric":
                spec["analysis"]["metrics"][0]["name"] = text
            case "query":
                spec["analysis"]["metrics"] = [{"name": "own", "query": text, "max": 1}]
            case "service":
                spec["service"] = {"name": text}
            case _:
                spec["isolation"] = {"labels": [text]}
        assert is_printable(refusal(resource)), text


def test_a_file_larger_than_any_release_is_refused_at_once():
    """Its size is the answer; it is not parsed."""
    loaded = load_releases(b"a: " + b"x" * MAX_BYTES, "large.yaml")
    assert loaded.releases == ()
    assert loaded.problems
