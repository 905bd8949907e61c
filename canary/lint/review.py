"""A whole review: files, then what they name, then what Prometheus has; findings with places."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from canary.api import CanaryRelease, Loaded, Problem
from canary.api.yaml_documents import Document, read_documents
from canary.discovery.manifest_reader import Reader, Shelf, members
from canary.discovery.referenced_objects import Scenery, scenery_of
from canary.discovery.topology import pods_of
from canary.errors import UsageError
from canary.kube.objects import PODS, Object
from canary.lint.checks_cluster import named_in_cluster, twins
from canary.lint.checks_spec import risks_of
from canary.lint.checks_topology import risks_around
from canary.lint.rules import Finding, Level

if TYPE_CHECKING:
    from canary.lint.checks_metrics import Monitoring


@dataclass(frozen=True, slots=True)
class Entry:
    """One valid release of a file, and where its parts stand."""

    release: CanaryRelease
    document: Document


@dataclass(frozen=True, slots=True)
class Page:
    """One file."""

    loaded: Loaded
    entries: tuple[Entry, ...]
    objects: tuple[Object, ...]
    """Everything in it, as manifests."""


@dataclass(frozen=True, slots=True)
class Risk:
    """A finding with its place."""

    finding: Finding
    place: Problem
    release: CanaryRelease

    @property
    def level(self) -> Level:
        """Of its rule."""
        return self.finding.rule.level


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked beside the files; None: not."""

    cluster: Reader | None = None
    monitoring: "Monitoring | None" = None


def page_of(loaded: Loaded, content: bytes, namespace: str | None) -> Page:
    """A loaded file with the places of what is in it."""
    documents = read_documents(content)
    entries, left = [], list(documents)
    for release in loaded.releases:
        document = next(one for one in left if _is(one, release))
        left.remove(document)
        entries.append(Entry(_placed(release, document, namespace), document))
    objects: list[Object] = []
    for document in documents:
        try:
            objects += members(document.data)
        except UsageError as error:
            problem = document.problem(("spec",), str(error))
            loaded = replace(loaded, problems=(*loaded.problems, problem))
    return Page(loaded, tuple(entries), tuple(objects))


def review(pages: Sequence[Page], sources: Sources) -> dict[str, list[Risk]]:
    """All risks, by file, in the order in which they stand there.

    Raises CanaryError when a cluster or a Prometheus that is to be asked does not answer.
    """
    objects = [one for page in pages for one in page.objects]
    entries = [entry for page in pages for entry in page.entries]
    shared = list(twins([entry.release for entry in entries]))
    risks: dict[str, list[Risk]] = {}
    for page in pages:
        found = [
            _placed_risk(entry, one)
            for entry in page.entries
            for one in (*_findings(entry.release, objects, sources), *_of(shared, entry.release))
        ]
        risks[page.loaded.source] = sorted(found, key=lambda risk: risk.place)
    return risks


def _findings(
    release: CanaryRelease, objects: Sequence[Object], sources: Sources
) -> Iterator[Finding]:
    yield from risks_of(release.spec)
    beside = Shelf(objects, release.metadata.namespace)
    files = scenery_of(release, beside, whole=False)
    scene = files
    if sources.cluster is None:
        yield from risks_around(files)
    else:
        scene = scenery_of(release, sources.cluster, whole=True)
        yield from risks_around(scene)
        yield from (one for one in risks_around(files) if one.rule.id == "paused-in-manifest")
        yield from named_in_cluster(release, sources.cluster)
    if sources.monitoring is not None:
        yield from _in_metrics(scene, sources, sources.monitoring)


def _in_metrics(scene: Scenery, sources: Sources, monitoring: "Monitoring") -> Iterator[Finding]:
    # What speaks HTTP takes long to import, and most files are checked without it.
    from canary.lint.checks_metrics import (  # noqa: PLC0415
        Running,
        pods_in,
        risks_in_metrics,
    )

    names = scene.names
    if sources.cluster is None:
        pods = pods_in(monitoring.inquiry, names.namespace, names.target)
    else:
        found = sources.cluster.list(PODS, names.namespace, {}) if scene.target else []
        pods = tuple(pods_of(found, scene.target)) if scene.target else ()
    yield from risks_in_metrics(Running(scene, pods), monitoring)


def _of(
    shared: Sequence[tuple[CanaryRelease, Finding]], release: CanaryRelease
) -> Iterator[Finding]:
    return (found for other, found in shared if other is release)


def _placed_risk(entry: Entry, found: Finding) -> Risk:
    return Risk(found, entry.document.problem(found.path, found.sentence), entry.release)


def _is(document: Document, release: CanaryRelease) -> bool:
    data = document.data
    if not isinstance(data, dict) or data.get("kind") != release.kind:
        return False
    metadata = data.get("metadata")
    return isinstance(metadata, dict) and metadata.get("name") == release.metadata.name


def _placed(release: CanaryRelease, document: Document, namespace: str | None) -> CanaryRelease:
    """The release in the namespace in which `kubectl apply` would make it."""
    data = document.data
    metadata = data.get("metadata") if isinstance(data, dict) else None
    named = isinstance(metadata, dict) and metadata.get("namespace")
    if named or namespace is None:
        return release
    there = release.metadata.model_copy(update={"namespace": namespace})
    return release.model_copy(update={"metadata": there})
