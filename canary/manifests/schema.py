"""Converts pydantic's JSON schema to the structural schema of a CustomResourceDefinition.

References are inlined, `null` alternatives become optional fields, `const` becomes an enum, and
every bound that has a message of ours becomes a CEL rule with this message.
"""

from collections.abc import Mapping
from typing import Any

from canary.api.fields import format_duration
from canary.manifests.cel import RULES, value_rule

Schema = dict[str, Any]

KEYS = {"checks": "name", "metrics": "name", "conditions": "type"}
"""Lists with a key field: duplicates are rejected, and apply merges elements by it."""


class StructuralSchema:
    """Converts one model's schema; `free` schemas (status) get no enums, defaults or rules."""

    def __init__(self, root: Mapping[str, Any], *, free: bool = False) -> None:
        self._defs = root.get("$defs", {})
        self._root = root
        self._free = free

    def build_schema(self) -> Schema:
        """Return the whole schema."""
        return self._build_node(self._root, "", in_list=False)

    def _build_node(self, raw: Mapping[str, Any], name: str, *, in_list: bool) -> Schema:
        node = self._resolve_node(raw)
        result: Schema = {"type": node["type"]}
        if words := _build_description(node, in_list=in_list):
            result["description"] = words
        if not self._free:
            result |= self._build_limits(node, in_list=in_list)
        elif node.get("nullable"):
            result["nullable"] = True
        if node["type"] == "object":
            result |= self._build_object(node, in_list=in_list)
        elif node["type"] == "array":
            result |= self._build_list(node, name)
        elif node["type"] == "integer":
            result["format"] = "int64"
        rules = [] if self._free else self._build_rules(node)
        return result | ({"x-kubernetes-validations": rules} if rules else {})

    def _resolve_node(self, raw: Mapping[str, Any]) -> Schema:
        """Return the node with its reference inlined and without its `null` alternative."""
        node = dict(raw)
        if "anyOf" in node:
            (inner,) = (one for one in node.pop("anyOf") if one.get("type") != "null")
            return self._resolve_node(inner | node | {"nullable": True})
        if "allOf" in node:
            (inner,) = node.pop("allOf")
            return self._resolve_node(inner | node)
        if "$ref" in node:
            model = node.pop("$ref").rsplit("/", 1)[1]
            return self._resolve_node(self._defs[model] | node | {"model": model})
        return node

    def _build_limits(self, node: Schema, *, in_list: bool) -> Schema:
        limits: Schema = {}
        if node.get("default") is not None and node["default"] != [] and not in_list:
            limits["default"] = _yaml_default(node)
        if "const" in node or "enum" in node:
            limits["enum"] = node.get("enum", [node.get("const")])
        if "maxLength" in node or "least" in node:
            # Twice what the rule allows, so that the rule gives the message; CEL needs a bound.
            limits["maxLength"] = 2 * node.get("maxLength", 32)
        if "maxItems" in node:
            limits["maxItems"] = node["maxItems"]
        return limits

    def _build_object(self, node: Schema, *, in_list: bool) -> Schema:
        if "properties" not in node and node.get("additionalProperties") is True:
            return {"x-kubernetes-preserve-unknown-fields": True}
        properties = {
            name: self._build_node(inner, name, in_list=in_list)
            for name, inner in node.get("properties", {}).items()
        }
        required = {"required": node["required"]} if node.get("required") else {}
        return ({"properties": properties} if properties else {}) | required

    def _build_list(self, node: Schema, name: str) -> Schema:
        kind: Schema = {"x-kubernetes-list-type": "atomic"}
        if name in KEYS:
            kind = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [KEYS[name]]}
        return {"items": self._build_node(node["items"], "", in_list=True)} | kind

    def _build_rules(self, node: Schema) -> list[dict[str, str]]:
        model = node.get("model") or node.get("title", "")
        rules = RULES.get(model, ()) if node["type"] == "object" else ()
        own = [rule.to_schema() for rule in rules] + value_rule(node)
        if node.get("minItems"):
            least = node["minItems"]
            own.append(
                {
                    "rule": f"size(self) >= {least}",
                    "message": f"expected a list of {least} or more",
                }
            )
        return own


def _yaml_default(node: Schema) -> object:
    """Return the default as written in YAML."""
    return format_duration(node["default"]) if "least" in node else node["default"]


def _build_description(node: Schema, *, in_list: bool) -> str:
    """Return the docstring, the allowed values, and the default if the schema cannot hold it.

    Inside lists the schema has no defaults: a tool that compares whole lists (Argo CD) would report
    every release as out of sync.
    """
    parts = [" ".join(node.get("description", "").split())]
    parts += [f"Allowed: {node['words']}."] if "words" in node else []
    if in_list and node.get("default") not in (None, [], False):
        parts.append(f"Default: {_yaml_default(node)}.")
    return " ".join(part for part in parts if part)
