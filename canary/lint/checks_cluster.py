"""Checks the CronJobs and Secrets that a release references, and other releases."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from canary.api import CanaryRelease, Path
from canary.discovery.manifest_reader import ObjectReader
from canary.errors import CanaryError, NotFoundError
from canary.kube.objects import CRON_JOBS, RELEASES, SECRETS, Kind, Object
from canary.kube.workloads.names import ALLOWED, CHECKS, allows_checks
from canary.lint.rules import LintFinding, make_finding


def check_cluster_objects(release: CanaryRelease, reader: ObjectReader) -> Iterator[LintFinding]:
    """Check the CronJobs of checks, the Secrets of receivers, and other releases of the target."""
    yield from _check_cron_jobs(release, reader)
    yield from _check_secrets(release, reader)
    yield from _check_other_releases(release, reader)


def find_duplicate_targets(
    releases: Sequence[CanaryRelease],
) -> Iterator[tuple[CanaryRelease, LintFinding]]:
    """Yield the second of two releases in these files that have the same target."""
    for one, other in combinations(releases, 2):
        alike = (one.metadata.namespace, one.spec.target) == (
            other.metadata.namespace,
            other.spec.target,
        )
        if alike and one.metadata.name != other.metadata.name:
            yield other, _same_target(other, one.metadata.name)


def _same_target(release: CanaryRelease, rival: str) -> LintFinding:
    said = f"CanaryRelease {rival} also manages Deployment {release.spec.target.name}"
    return make_finding("same-target", ("spec", "target", "name"), said)


def _check_cron_jobs(release: CanaryRelease, reader: ObjectReader) -> Iterator[LintFinding]:
    for index, check in enumerate(release.spec.checks):
        if check.job_from is None:
            continue
        path: Path = ("spec", "checks", index, "jobFrom", "cronJob")
        name = check.job_from.cron_job
        found = _get_object(reader, CRON_JOBS, release, name)
        if isinstance(found, str):
            yield make_finding("lookup-failed", path, found)
        elif found is None:
            where = f"in namespace {release.metadata.namespace}"
            yield make_finding("cron-job-missing", path, f"there is no CronJob {name} {where}")
        elif not allows_checks(found):
            said = f"CronJob {name} has no label {CHECKS}={ALLOWED}"
            yield make_finding("cron-job-not-allowed", path, said)
        elif not found["spec"].get("suspend"):
            yield make_finding("cron-job-runs", path, f"CronJob {name} is not suspended")


def _check_secrets(release: CanaryRelease, reader: ObjectReader) -> Iterator[LintFinding]:
    for index, receiver in enumerate(release.spec.notify):
        reference = receiver.secret
        if reference is None:
            continue
        path: Path = ("spec", "notify", index, receiver.kind, "secretRef")
        found = _get_object(reader, SECRETS, release, reference.name)
        if isinstance(found, str):
            yield make_finding("lookup-failed", path, found)
        elif found is None:
            where = f"in namespace {release.metadata.namespace}"
            said = f"there is no Secret {reference.name} {where}"
            yield make_finding("secret-missing", (*path, "name"), said)
        elif reference.key not in (found.get("data") or {}):
            said = f"Secret {reference.name} has no key {reference.key}"
            yield make_finding("secret-missing", (*path, "key"), said)


def _check_other_releases(release: CanaryRelease, reader: ObjectReader) -> Iterator[LintFinding]:
    try:
        found = reader.list(RELEASES, release.metadata.namespace, {})
    except NotFoundError:
        return
    except CanaryError as error:
        yield make_finding("lookup-failed", ("spec", "target"), str(error))
        return
    for one in found:
        name = one["metadata"]["name"]
        target = one["spec"].get("target") or {}
        if name != release.metadata.name and target.get("name") == release.spec.target.name:
            yield _same_target(release, name)


def _get_object(
    reader: ObjectReader, kind: Kind, release: CanaryRelease, name: str
) -> Object | str | None:
    """Return the object, or an error message if the lookup fails."""
    try:
        return reader.get(kind, release.metadata.namespace, name)
    except CanaryError as error:
        return str(error)
