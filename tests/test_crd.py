"""The CRD is structural, as a table of laws; that a real API server takes it is said in e2e."""

from collections.abc import Iterator
from typing import Any

import pytest

from canary.api import CanaryRelease, Spec
from canary.api.fields import Frozen
from canary.api.messages import list_models
from canary.manifests import build_crd
from canary.manifests.cel import MAX_STEPS, RULES
from tests.api.test_load import WRONG_SHAPES, WRONG_VALUES
from tests.manifests.server_reasons import FILE_ONLY, WORDS

VERSION = build_crd()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]
STATUS = SCHEMA["properties"]["status"]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def models(model: type[Frozen]) -> set[type[Frozen]]:
    """A model and all that it is made of."""
    inner = (list_models(field.annotation) for field in model.model_fields.values())
    return {model}.union(*(models(found) for each in inner for found in each))


def test_only_what_a_structural_schema_may_hold_is_in_it() -> None:
    """Nothing is left of references, alternatives, titles and bounds without words."""
    allowed = {
        "type", "format", "description", "properties", "items", "required", "default", "enum",
        "nullable", "maxLength", "maxItems",
    }  # fmt: skip
    for path, node in nodes(SCHEMA):
        strange = {key for key in node if not key.startswith("x-kubernetes-")} - allowed
        assert not strange, path
        assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}, path


def test_every_rule_of_the_models_that_spans_fields_is_a_rule_of_the_api_server() -> None:
    """A validator that somebody adds to a model needs its twin in CEL."""
    ours = {
        (model.__name__, name)
        for model in models(Spec)
        for name in model.__pydantic_decorators__.model_validators
    }
    theirs = {(model, rule.validator) for model, rules in RULES.items() for rule in rules}
    assert theirs == ours | {("Spec", "require_rising_weights")}


def test_every_field_can_be_explained() -> None:
    """`kubectl explain` has a sentence for every field of the spec."""
    silent = [path for path, node in nodes(SPEC) if not node.get("description")]
    assert silent == []


def test_nothing_is_filled_in_inside_lists() -> None:
    """Tools that compare lists as a whole would see a difference that nobody wrote."""
    filled = [path for path, node in nodes(SPEC) if "[]" in path and "default" in node]
    assert filled == []


def test_defaults_outside_lists_are_those_of_the_models() -> None:
    """What the API server fills in is what our own loader would assume."""
    resource = {
        "target": {"name": "auth"},
        "traffic": {"replicas": {}},
        "steps": [{"weight": 5}],
        "analysis": {"metrics": [{"name": "errors", "ratio": {"preset": "istio"}}]},
    }
    filled = {
        name: node["default"] for name, node in SPEC["properties"].items() if "default" in node
    }
    defaults = SPEC["properties"]["analysis"]["properties"]
    analysis = {name: node["default"] for name, node in defaults.items() if "default" in node}
    whole = resource | filled | {"analysis": resource["analysis"] | analysis}
    assert Spec.model_validate(whole) == Spec.model_validate(resource)


def test_lists_and_texts_are_bounded() -> None:
    """Without bounds the API server refuses the rules as too expensive."""
    for path, node in nodes(SPEC):
        if node["type"] == "array":
            assert "maxItems" in node, path
        if node["type"] == "string":
            assert "maxLength" in node or "enum" in node, path
    assert SPEC["properties"]["steps"]["maxItems"] == MAX_STEPS


def test_the_status_takes_whatever_a_newer_controller_writes() -> None:
    """No choices, defaults or rules in the status; the judge's state is free."""
    for path, node in nodes(STATUS):
        assert not {"enum", "default", "x-kubernetes-validations"} & set(node), path
    assert STATUS["properties"]["judge"]["x-kubernetes-preserve-unknown-fields"] is True
    conditions = STATUS["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_a_table_shows_what_people_ask_for() -> None:
    """`kubectl get cnr` has six columns, and each path leads to a field."""
    names = [column["name"].upper() for column in VERSION["additionalPrinterColumns"]]
    assert names == ["PHASE", "STEP", "WEIGHT", "VERDICT", "REASON", "AGE"]
    for column in VERSION["additionalPrinterColumns"]:
        _, top, field = column["jsonPath"].split(".")
        assert top == "metadata" or field in STATUS["properties"]


def rules_said() -> set[str]:
    """All messages that the API server can give."""
    entries = (node.get("x-kubernetes-validations", []) for _, node in nodes(SPEC))
    return {entry["message"] for each in entries for entry in each}


@pytest.mark.parametrize(
    "sentence",
    [
        pytest.param(case.values[2], id=case.id)
        for case in [*WRONG_VALUES, *WRONG_SHAPES]
        if case.id not in FILE_ONLY | set(WORDS)
    ],
)
def test_the_api_server_says_our_words(sentence: str) -> None:
    """Each sentence of the loader that a rule can say stands in the schema, up to what was found."""
    expected = sentence.partition(": ")[2].partition(", found ")[0]
    assert expected in rules_said()


def test_the_exceptions_name_bad_specs_that_exist() -> None:
    """An exception for a bad spec that is gone is a mistake."""
    known = {case.id for case in [*WRONG_VALUES, *WRONG_SHAPES]}
    assert FILE_ONLY | set(WORDS) <= known


def test_the_resource_is_the_one_that_the_models_read() -> None:
    """Group, version and kind are those of the loader."""
    definition = build_crd()["spec"]
    version = f"{definition['group']}/{VERSION['name']}"
    assert CanaryRelease.model_fields["api_version"].annotation.__args__ == (version,)
    assert definition["names"]["shortNames"] == ["cnr"]
    assert VERSION["subresources"] == {"status": {}}
