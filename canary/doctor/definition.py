"""Is the definition of CanaryRelease installed, and is it the one of this program?"""

from collections.abc import Iterator, Mapping
from typing import Any

from canary import __version__
from canary.doctor.context import Patient
from canary.doctor.diagnosis import Diagnosis, doubtful, fine, wrong
from canary.errors import NotFoundError
from canary.kube.api_errors import ForbiddenError
from canary.kube.objects import RELEASES, Kind, Object
from canary.manifests import crd

DEFINITIONS = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"
)
_NAME = f"{RELEASES.plural}.{RELEASES.group}"
_INSTALL = "canary manifests crd | kubectl apply --server-side -f -"
_OLDEST = (1, 31)
_FEW = 4


def cluster(patient: Patient) -> Iterator[Diagnosis]:
    """The API server's version. Raises CanaryError when it cannot be asked at all."""
    version = patient.server.version()
    said = f"Kubernetes {version[0]}.{version[1]} at {patient.address}"
    if version < _OLDEST:
        yield doubtful("cluster", said, "1.31 or newer is what canary is tried with: upgrade it")
    else:
        yield fine("cluster", said)


def definition(patient: Patient) -> Iterator[Diagnosis]:
    """Served, and with the fields that this program knows."""
    if not patient.server.served(RELEASES):
        said = f"the cluster does not serve {RELEASES.kind} ({RELEASES.api_version})"
        yield wrong("definition", said, f"install it: {_INSTALL}")
        return
    try:
        found = patient.server.get(DEFINITIONS, "", _NAME)
    except (ForbiddenError, NotFoundError):
        found = None
    if found is None:
        yield fine("definition", f"{RELEASES.api_version} is served")
        return
    yield from _compared(found)


def _compared(found: Object) -> Iterator[Diagnosis]:
    ours, theirs = set(_fields(_schema(crd()))), set(_fields(_schema(found)))
    if missing := sorted(ours - theirs):
        said = f"the definition is older than this program ({__version__}): it lacks "
        yield wrong("definition", said + _some(missing), f"upgrade it: {_INSTALL}")
    elif extra := sorted(theirs - ours):
        said = f"the definition is newer than this program ({__version__}): it has "
        yield doubtful("definition", said + _some(extra), "upgrade this program")
    else:
        said = f"{RELEASES.api_version} is served, with the fields of this program ({__version__})"
        yield fine("definition", said)


def _schema(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    for version in definition["spec"]["versions"]:
        if version["name"] == RELEASES.version:
            schema: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]
            return schema
    return {}


def _fields(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """`spec.steps[].weight` and so on: all fields of a schema."""
    for name, inner in (schema.get("properties") or {}).items():
        below = f"{path}.{name}" if path else name
        yield below
        yield from _fields(inner, below)
    if isinstance(items := schema.get("items"), dict):
        yield from _fields(items, f"{path}[]")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
