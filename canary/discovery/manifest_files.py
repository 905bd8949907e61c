"""Manifests as files: YAML with several documents, folders of it, standard input."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from canary.api.yaml_documents import MAX_BYTES, read_documents
from canary.discovery.manifest_reader import members
from canary.errors import UsageError
from canary.kube.objects import Object

_ENDINGS = {".yaml", ".yml", ".json"}
_NO_MANIFESTS = frozenset({"kustomization.yaml", "kustomization.yml", "values.yaml", "Chart.yaml"})
"""Files of Kustomize and Helm that often lie beside manifests."""


def read_manifests(files: Sequence[str]) -> list[Object]:
    """All objects in these files, with what is in folders among them; `-` is standard input.

    Raises:
        UsageError: a file cannot be read or is not YAML; with its place.
    """
    return [one for file in files for path in paths_of(file) for one in _objects(path)]


def content_of(file: str) -> bytes:
    """The file, as far as it can be valid: one byte more than is allowed tells that it is not.

    Raises:
        OSError: it cannot be read.
    """
    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def paths_of(file: str) -> Iterator[str]:
    """The file, or the manifests in a folder. Raises UsageError when there are none."""
    folder = Path(file)
    if file == "-" or not folder.is_dir():
        yield file
        return
    found = sorted(
        one
        for one in folder.rglob("*")
        if one.suffix in _ENDINGS and one.name not in _NO_MANIFESTS and one.is_file()
    )
    if not found:
        raise UsageError(f"{file} is a folder without any file of YAML or JSON")
    yield from map(str, found)


def _objects(file: str) -> Iterator[Object]:
    name = "stdin" if file == "-" else file
    try:
        documents = read_documents(content_of(file))
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror or error}") from error
    for document in documents:
        for problem in document.problems:
            raise UsageError(f"{name}:{problem.line}:{problem.column}: {problem.message}")
        yield from members(document.data)
