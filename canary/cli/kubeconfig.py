"""Which cluster, context and namespace are meant, found as kubectl finds them.

Only names are read here, without the Kubernetes library: completion needs them at once.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from canary.errors import NotFoundError, PermanentError

POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""What a pod knows of its cluster."""
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster to talk to, and the namespace in which names are looked up."""

    files: str | None
    """Kubeconfig files as the Kubernetes library takes them; None in a pod."""
    context: str | None
    """None in a pod."""
    namespace: str

    def __str__(self) -> str:
        return f"context {self.context}" if self.context else "this pod's service account"


def place(kubeconfig: str | None, context: str | None, namespace: str | None) -> Place:
    """Where to go; `namespace` is the one that was asked for.

    Raises:
        NotFoundError: no such file, no such context.
        PermanentError: nothing is configured, or a file cannot be understood.
    """
    found = [path for path in _paths(kubeconfig) if path.exists()]
    if kubeconfig and not found:
        raise NotFoundError(f"there is no kubeconfig file {kubeconfig} (given by --kubeconfig)")
    if not found and context is None and (POD / "token").exists():
        return Place(None, None, namespace or _pod_namespace())
    if not found:
        looked = " or ".join(str(path) for path in _paths(None))
        raise PermanentError(
            f"no cluster is configured: a kubeconfig file is expected at {looked}, found none; "
            "set KUBECONFIG or give --kubeconfig FILE"
        )
    name, details = _chosen([_read(path) for path in found], context)
    where = namespace or str(details.get("namespace") or "default")
    return Place(os.pathsep.join(map(str, found)), name, where)


def contexts(kubeconfig: str | None = None) -> list[str]:
    """Names of all contexts. Raises PermanentError for a file that cannot be understood."""
    return list(_contexts([_read(path) for path in _paths(kubeconfig) if path.exists()]))


def close(name: str, names: Iterable[str]) -> str:
    """`; did you mean auth?`, or nothing."""
    found = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig).expanduser()]
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in named or ["~/.kube/config"]]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        found = None if len(text) > _MOST_BYTES else yaml.safe_load(text)
    except OSError as error:
        raise PermanentError(f"cannot read the kubeconfig {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PermanentError(f"the kubeconfig {path} is not valid YAML") from error
    if len(text) > _MOST_BYTES:
        raise PermanentError(f"{path} is no kubeconfig: at most 4 MiB is expected, found more")
    if not isinstance(found, dict | None):
        raise PermanentError(f"the kubeconfig {path} is no kubeconfig: an object is expected")
    if not isinstance((found or {}).get("contexts"), list | None):
        raise PermanentError(
            f"the kubeconfig {path} is no kubeconfig: a list of contexts is expected"
        )
    return found or {}


def _chosen(files: list[Mapping[str, Any]], context: str | None) -> tuple[str, Mapping[str, Any]]:
    """The context's name and what it says; the first file that names something wins."""
    known = _contexts(files)
    name = context or next((str(one["current-context"]) for one in files if _current(one)), None)
    if not known:
        raise PermanentError(
            "no cluster is configured: the kubeconfig has no contexts; give another with "
            "--kubeconfig, or log in to a cluster first"
        )
    if name is None:
        raise PermanentError(
            f"no context is chosen: give --context, one of {_listed(known)}, "
            "or set one with kubectl config use-context"
        )
    if name not in known:
        raise NotFoundError(
            f"there is no context {name} in the kubeconfig{close(name, known)} "
            f"(there are: {_listed(known)})"
        )
    return name, known[name]


def _current(file: Mapping[str, Any]) -> bool:
    return bool(file.get("current-context"))


def _contexts(files: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for name, details in _entries(files):
        found.setdefault(name, details)
    return found


def _entries(files: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for file in files:
        for entry in file.get("contexts") or []:
            if isinstance(entry, dict) and entry.get("name"):
                details = entry.get("context")
                yield str(entry["name"]), details if isinstance(details, dict) else {}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _pod_namespace() -> str:
    try:
        return (POD / "namespace").read_text("utf-8").strip() or "default"
    except OSError:
        return "default"
