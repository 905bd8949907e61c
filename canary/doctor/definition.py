"""Checks that the CRD of CanaryRelease is installed and matches this program."""

from collections.abc import Iterator, Mapping
from typing import Any

from canary import __version__
from canary.doctor.diagnosis import (
    Diagnosis,
    DoctorContext,
    report_error,
    report_ok,
    report_warning,
)
from canary.errors import NotFoundError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import RELEASES, Kind, Object
from canary.manifests import build_crd

DEFINITIONS = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"
)
_NAME = f"{RELEASES.plural}.{RELEASES.group}"
_INSTALL = "canary manifests crd | kubectl apply --server-side -f -"
_OLDEST = (1, 31)
_FEW = 4


def check_api_server(context: DoctorContext) -> Iterator[Diagnosis]:
    """Check the API server's version. Raises CanaryError if it does not respond."""
    version = context.server.version()
    said = f"Kubernetes {version[0]}.{version[1]} at {context.address}"
    if version < _OLDEST:
        yield report_warning(
            "cluster", said, "upgrade the cluster: canary is tested with 1.31 or newer"
        )
    else:
        yield report_ok("cluster", said)


def check_definition(context: DoctorContext) -> Iterator[Diagnosis]:
    """Check that the CRD is served and has the fields that this program uses."""
    if not context.server.serves_kind(RELEASES):
        said = f"the cluster does not serve {RELEASES.kind} ({RELEASES.api_version})"
        yield report_error("definition", said, f"install the CRD: {_INSTALL}")
        return
    try:
        found = context.server.get(DEFINITIONS, "", _NAME)
    except (ForbiddenError, NotFoundError):
        found = None
    if found is None:
        yield report_ok("definition", f"{RELEASES.api_version} is served")
        return
    yield from _compare_schemas(found)


def _compare_schemas(found: Object) -> Iterator[Diagnosis]:
    ours, theirs = (
        set(_field_paths(_find_schema(build_crd()))),
        set(_field_paths(_find_schema(found))),
    )
    if missing := sorted(ours - theirs):
        said = f"the CRD is older than this program ({__version__}); it lacks "
        yield report_error(
            "definition", said + _shorten_list(missing), f"upgrade the CRD: {_INSTALL}"
        )
    elif extra := sorted(theirs - ours):
        said = f"the CRD is newer than this program ({__version__}); it has "
        yield report_warning("definition", said + _shorten_list(extra), "upgrade this program")
    else:
        said = f"{RELEASES.api_version} is served, with the fields of this program ({__version__})"
        yield report_ok("definition", said)


def _find_schema(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    for version in definition["spec"]["versions"]:
        if version["name"] == RELEASES.version:
            schema: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]
            return schema
    return {}


def _field_paths(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the paths of all fields of a schema, such as `spec.steps[].weight`."""
    for name, inner in (schema.get("properties") or {}).items():
        below = f"{path}.{name}" if path else name
        yield below
        yield from _field_paths(inner, below)
    if isinstance(items := schema.get("items"), dict):
        yield from _field_paths(items, f"{path}[]")


def _shorten_list(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
