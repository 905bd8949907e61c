"""Reads manifests from YAML files with several documents, from folders, or standard input."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from canary.api.yaml_documents import MAX_BYTES, read_documents
from canary.discovery.manifest_reader import extract_objects
from canary.errors import UsageError
from canary.kube.objects import Object

_SUFFIXES = {".yaml", ".yml", ".json"}
_NO_MANIFESTS = frozenset({"kustomization.yaml", "kustomization.yml", "values.yaml", "Chart.yaml"})
"""Files of Kustomize and Helm that often lie beside manifests."""


def read_manifests(files: Sequence[str]) -> list[Object]:
    """Return all objects in these files and folders; `-` is standard input.

    Raises:
        UsageError: a file cannot be read or is not valid; names line and column.
    """
    return [one for file in files for path in find_paths(file) for one in _read_objects(path)]


def read_content(file: str) -> bytes:
    """Return at most one byte more than the maximum size, so that the caller can detect excess.

    Raises:
        OSError: the file cannot be read.
    """
    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def find_paths(file: str) -> Iterator[str]:
    """Yield the file, or the manifests in a folder. Raises UsageError if there are none."""
    folder = Path(file)
    if file == "-" or not folder.is_dir():
        yield file
        return
    found = sorted(
        one
        for one in folder.rglob("*")
        if one.suffix in _SUFFIXES and one.name not in _NO_MANIFESTS and one.is_file()
    )
    if not found:
        raise UsageError(f"{file}: expected a folder with YAML or JSON files, found none")
    yield from map(str, found)


def _read_objects(file: str) -> Iterator[Object]:
    name = "stdin" if file == "-" else file
    try:
        documents = read_documents(read_content(file))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}") from error
    for document in documents:
        for problem in document.problems:
            raise UsageError(f"{name}:{problem.line}:{problem.column}: {problem.message}")
        yield from extract_objects(document.data)
