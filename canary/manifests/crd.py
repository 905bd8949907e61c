"""The CustomResourceDefinition of CanaryRelease, generated from the models in `canary.api`."""

from collections.abc import Sequence
from typing import Any

import yaml

from canary.api import CanaryRelease, Spec, Status
from canary.api.resource import GROUP, VERSION
from canary.manifests.schema import Schema, StructuralSchema

HEAD = "# Generated from canary/api by `make generate`; `canary manifests crd` prints it.\n"
COLUMNS: Sequence[tuple[str, str, str]] = (
    ("Phase", "string", ".status.phase"),
    ("Step", "string", ".status.currentStep"),
    ("Weight", "integer", ".status.weight"),
    ("Verdict", "string", ".status.verdict"),
    ("Reason", "string", ".status.reason"),
    ("Age", "date", ".metadata.creationTimestamp"),
)
"""Columns of `kubectl get cnr`: name, type, path."""
_META = {
    "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
    "kind": {"type": "string", "description": "CanaryRelease"},
    "metadata": {"type": "object"},
}


def build_crd() -> dict[str, Any]:
    """Return the definition; Helm keeps it when the chart is uninstalled, to keep the releases."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"canaryreleases.{GROUP}",
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": "CanaryRelease",
                "listKind": "CanaryReleaseList",
                "plural": "canaryreleases",
                "singular": "canaryrelease",
                "shortNames": ["cnr"],
                "categories": ["delivery"],
            },
            "scope": "Namespaced",
            "versions": [_build_version()],
        },
    }


def crd_yaml() -> str:
    """Return the definition as YAML."""
    return HEAD + yaml.safe_dump(build_crd(), sort_keys=False, width=100, allow_unicode=True)


def _build_version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} for name, kind, path in COLUMNS
        ],
        "schema": {"openAPIV3Schema": _build_schema()},
    }


def _build_schema() -> Schema:
    spec = StructuralSchema(Spec.model_json_schema(mode="validation")).build_schema()
    status = StructuralSchema(Status.model_json_schema(mode="validation"), free=True).build_schema()
    return {
        "type": "object",
        "description": " ".join((CanaryRelease.__doc__ or "").split()),
        "required": ["spec"],
        "properties": _META | {"spec": spec, "status": status},
    }
