"""Reads files and runs all checks on them; gives each finding its line and column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from canary.api import CanaryRelease, LoadedReleases, Problem, load_releases
from canary.api.yaml_documents import Document, read_documents
from canary.discovery.manifest_reader import (
    ManifestReader,
    ObjectReader,
    extract_objects,
    find_paths,
    read_content,
)
from canary.discovery.referenced_objects import ReferencedObjects, read_referenced_objects
from canary.discovery.release_file import find_unknown_presets
from canary.discovery.topology import list_running_pods
from canary.errors import UsageError
from canary.kube.objects import PODS, Object
from canary.lint.checks_cluster import check_cluster_objects, find_duplicate_targets
from canary.lint.checks_spec import check_spec
from canary.lint.checks_topology import check_topology
from canary.lint.rules import LintFinding, LintLevel, make_finding

if TYPE_CHECKING:
    from canary.lint.checks_metrics import PrometheusAccess, PrometheusOfRelease


@dataclass(frozen=True, slots=True)
class LocatedRelease:
    """One valid release, with the document that locates its fields."""

    release: CanaryRelease
    document: Document


@dataclass(frozen=True, slots=True)
class LintFile:
    """One file of a lint run."""

    loaded: LoadedReleases
    entries: tuple[LocatedRelease, ...]
    objects: tuple[Object, ...]
    """All manifests in the file."""


@dataclass(frozen=True, slots=True)
class LocatedFinding:
    """A finding with its position in a file."""

    finding: LintFinding
    place: Problem
    release: CanaryRelease

    @property
    def level(self) -> LintLevel:
        """The severity of the rule."""
        return self.finding.rule.level


@dataclass(frozen=True, slots=True)
class LintSettings:
    """Sources that files are checked against in addition to each other, and the strictness."""

    cluster: ObjectReader | None = None
    monitoring: "PrometheusOfRelease | None" = None
    strict: bool = False
    """Warnings count as errors."""


@dataclass(frozen=True, slots=True)
class LintReport:
    """The result of a lint run."""

    pages: Sequence[LintFile]
    risks: Mapping[str, Sequence[LocatedFinding]]
    """The findings of each file, in order of their position."""
    valid: bool
    """There are no errors."""


def locate_releases(loaded: LoadedReleases, content: bytes, namespace: str | None) -> LintFile:
    """Return a loaded file with the positions of its releases."""
    documents = read_documents(content)
    entries, left = [], list(documents)
    for release in loaded.releases:
        document = next(one for one in left if _defines_release(one, release))
        left.remove(document)
        entries.append(LocatedRelease(_with_namespace(release, document, namespace), document))
    objects: list[Object] = []
    for document in documents:
        try:
            objects += extract_objects(document.data)
        except UsageError as error:
            problem = document.build_problem(("spec",), str(error))
            loaded = replace(loaded, problems=(*loaded.problems, problem))
    return LintFile(loaded, tuple(entries), tuple(objects))


def read_pages(files: Sequence[str], namespace: str | None) -> list[LintFile]:
    """Read all files; one CanaryRelease in any of them is enough, the others give context."""
    paths = [path for file in files for path in _find_paths(file)]
    pages = [_read_page(path, namespace, required=False) for path in paths]
    if any(page.loaded.releases or page.loaded.problems for page in pages):
        return pages
    return [_read_page(path, namespace, required=True) for path in paths[:1]] + pages[1:]


def _find_paths(file: str) -> list[str]:
    try:
        return list(find_paths(file))
    except UsageError:
        return [file]  # Reading an empty folder reports the error together with the other files.


def _read_page(file: str, namespace: str | None, *, required: bool) -> LintFile:
    name = "stdin" if file == "-" else file
    try:
        content = read_content(file)
    except OSError as error:
        found = error.strerror or "an error"
        unreadable = Problem(1, 1, "file", f"expected a readable file, found: {found}")
        return LintFile(LoadedReleases(name, (), (), (unreadable,)), (), ())
    loaded = load_releases(content, name, rules=(find_unknown_presets,), required=required)
    return locate_releases(loaded, content, namespace)


def review_files(pages: Sequence[LintFile], settings: LintSettings) -> LintReport:
    """Run all checks. Raises CanaryError if the cluster or Prometheus does not respond."""
    objects = [one for page in pages for one in page.objects]
    entries = [entry for page in pages for entry in page.entries]
    shared = list(find_duplicate_targets([entry.release for entry in entries]))
    risks: dict[str, list[LocatedFinding]] = {}
    for page in pages:
        found = [
            _locate_finding(entry, one)
            for entry in page.entries
            for one in (
                *_check_release(entry.release, objects, settings),
                *_findings_of(shared, entry.release),
            )
        ]
        risks[page.loaded.source] = sorted(found, key=lambda risk: risk.place)
    wrong = any(page.loaded.problems for page in pages) or any(
        settings.strict or one.level is LintLevel.ERROR for found in risks.values() for one in found
    )
    return LintReport(pages, risks, valid=not wrong)


def _check_release(
    release: CanaryRelease, objects: Sequence[Object], settings: LintSettings
) -> Iterator[LintFinding]:
    yield from check_spec(release.spec)
    beside = ManifestReader(objects, release.metadata.namespace)
    files = read_referenced_objects(release, beside, from_cluster=False)
    referenced = files
    if settings.cluster is None:
        yield from check_topology(files)
    else:
        referenced = read_referenced_objects(release, settings.cluster, from_cluster=True)
        yield from check_topology(referenced)
        yield from (one for one in check_topology(files) if one.rule.id == "paused-in-manifest")
        yield from check_cluster_objects(release, settings.cluster)
    if settings.monitoring is None:
        return
    try:
        monitoring = settings.monitoring.connect(release.spec.analysis.prometheus)
    except UsageError as error:
        yield make_finding("prometheus-unknown", ("spec", "analysis", "prometheus"), str(error))
        return
    yield from _check_metrics(referenced, settings, monitoring)


def _check_metrics(
    objects: ReferencedObjects, settings: LintSettings, monitoring: "PrometheusAccess"
) -> Iterator[LintFinding]:
    # HTTP clients take long to import, and most files are checked without them.
    from canary.lint.checks_metrics import (  # noqa: PLC0415
        RunningTarget,
        check_metrics,
        find_pods_by_series,
    )

    names = objects.names
    if settings.cluster is None:
        pods = find_pods_by_series(monitoring.inquiry, names.namespace, names.target)
    else:
        found = settings.cluster.list(PODS, names.namespace, {}) if objects.target else []
        pods = tuple(list_running_pods(found, objects.target)) if objects.target else ()
    yield from check_metrics(RunningTarget(objects, pods), monitoring)


def _findings_of(
    shared: Sequence[tuple[CanaryRelease, LintFinding]], release: CanaryRelease
) -> Iterator[LintFinding]:
    return (found for other, found in shared if other is release)


def _locate_finding(entry: LocatedRelease, found: LintFinding) -> LocatedFinding:
    return LocatedFinding(
        found, entry.document.build_problem(found.path, found.sentence), entry.release
    )


def _defines_release(document: Document, release: CanaryRelease) -> bool:
    data = document.data
    if not isinstance(data, dict) or data.get("kind") != release.kind:
        return False
    metadata = data.get("metadata")
    return isinstance(metadata, dict) and metadata.get("name") == release.metadata.name


def _with_namespace(
    release: CanaryRelease, document: Document, namespace: str | None
) -> CanaryRelease:
    """Return the release with the namespace that `kubectl apply` would create it in."""
    data = document.data
    metadata = data.get("metadata") if isinstance(data, dict) else None
    named = isinstance(metadata, dict) and metadata.get("namespace")
    if named or namespace is None:
        return release
    there = release.metadata.model_copy(update={"namespace": namespace})
    return release.model_copy(update={"metadata": there})
