"""Resolves cluster, context and namespace as kubectl does.

Reads only names, without the Kubernetes library, so that completion is quick.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from canary.errors import NotFoundError, PermanentError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Directory of the service account in a pod."""
_MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class ClusterReference:
    """How to connect to a cluster, and the namespace in which names are looked up."""

    files: str | None
    """Paths of kubeconfig files, joined as in $KUBECONFIG; None in a pod."""
    context: str | None
    """None in a pod."""
    namespace: str

    def __str__(self) -> str:
        return f"context {self.context}" if self.context else "this pod's service account"


def resolve_cluster(
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None,
    service_account: Path = SERVICE_ACCOUNT,
) -> ClusterReference:
    """Return the cluster and the namespace to use; the arguments are the values of the options.

    Raises:
        NotFoundError: the file or the context does not exist.
        PermanentError: no cluster is configured, or a file is invalid.
    """
    found = [path for path in _kubeconfig_paths(kubeconfig) if path.exists()]
    if kubeconfig and not found:
        raise NotFoundError(f"--kubeconfig: no such file: {kubeconfig}")
    if not found and context is None and (service_account / "token").exists():
        return ClusterReference(None, None, namespace or _read_namespace(service_account))
    if not found:
        looked = " or ".join(str(path) for path in _kubeconfig_paths(None))
        raise PermanentError(
            f"no cluster is configured: expected a kubeconfig file at {looked}, found none; set "
            "KUBECONFIG or --kubeconfig FILE"
        )
    name, details = _select_context([_read_kubeconfig(path) for path in found], context)
    where = namespace or str(details.get("namespace") or "default")
    return ClusterReference(os.pathsep.join(map(str, found)), name, where)


def list_contexts(kubeconfig: str | None = None) -> list[str]:
    """Return the names of all contexts. Raises PermanentError for an invalid file."""
    return list(
        _contexts_by_name(
            [_read_kubeconfig(path) for path in _kubeconfig_paths(kubeconfig) if path.exists()]
        )
    )


def suggest_similar(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean auth?`, or an empty string."""
    found = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _kubeconfig_paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig).expanduser()]
    named = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in named or ["~/.kube/config"]]


def _read_kubeconfig(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        found = None if len(text) > _MAX_BYTES else yaml.safe_load(text)
    except OSError as error:
        raise PermanentError(f"cannot read the kubeconfig {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise PermanentError(f"invalid kubeconfig {path}: not YAML") from error
    if len(text) > _MAX_BYTES:
        raise PermanentError(f"invalid kubeconfig {path}: expected at most 4 MiB, found more")
    if not isinstance(found, dict | None):
        raise PermanentError(f"invalid kubeconfig {path}: expected an object")
    if not isinstance((found or {}).get("contexts"), list | None):
        raise PermanentError(f"invalid kubeconfig {path}: contexts: expected a list")
    return found or {}


def _select_context(
    files: list[Mapping[str, Any]], context: str | None
) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the details of the context. The first file that defines a value wins."""
    known = _contexts_by_name(files)
    name = context or next(
        (str(one["current-context"]) for one in files if _has_current_context(one)), None
    )
    if not known:
        raise PermanentError(
            "no cluster is configured: the kubeconfig has no contexts; select another file with "
            "--kubeconfig, or log in to a cluster first"
        )
    if name is None:
        raise PermanentError(
            f"no context is selected: set --context to one of {_join_names(known)}, or run "
            "kubectl config use-context"
        )
    if name not in known:
        raise NotFoundError(
            f"there is no context {name} in the kubeconfig{suggest_similar(name, known)} "
            f"(there are: {_join_names(known)})"
        )
    return name, known[name]


def _has_current_context(file: Mapping[str, Any]) -> bool:
    return bool(file.get("current-context"))


def _contexts_by_name(files: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for name, details in _iterate_contexts(files):
        found.setdefault(name, details)
    return found


def _iterate_contexts(
    files: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for file in files:
        for entry in file.get("contexts") or []:
            if isinstance(entry, dict) and entry.get("name"):
                details = entry.get("context")
                yield str(entry["name"]), details if isinstance(details, dict) else {}


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _read_namespace(service_account: Path) -> str:
    try:
        return (service_account / "namespace").read_text("utf-8").strip() or "default"
    except OSError:
        return "default"
