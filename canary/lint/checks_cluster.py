"""What a release names beside workloads and routes: CronJobs, Secrets; and other releases."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from canary.api import CanaryRelease, Path
from canary.discovery.manifest_reader import Reader
from canary.errors import CanaryError, NotFoundError
from canary.kube.objects import CRON_JOBS, RELEASES, SECRETS, Kind, Object
from canary.lint.rules import Finding, finding


def named_in_cluster(release: CanaryRelease, reader: Reader) -> Iterator[Finding]:
    """CronJobs of checks, Secrets of receivers, and who else guards the target."""
    yield from _checks(release, reader)
    yield from _secrets(release, reader)
    yield from _rivals(release, reader)


def twins(releases: Sequence[CanaryRelease]) -> Iterator[tuple[CanaryRelease, Finding]]:
    """Releases of these files that guard the same Deployment: the later one of each pair."""
    for one, other in combinations(releases, 2):
        alike = (one.metadata.namespace, one.spec.target) == (
            other.metadata.namespace,
            other.spec.target,
        )
        if alike and one.metadata.name != other.metadata.name:
            yield other, _same_target(other, one.metadata.name)


def _same_target(release: CanaryRelease, rival: str) -> Finding:
    said = f"CanaryRelease {rival} guards Deployment {release.spec.target.name} as well"
    return finding("same-target", ("spec", "target", "name"), said)


def _checks(release: CanaryRelease, reader: Reader) -> Iterator[Finding]:
    for index, check in enumerate(release.spec.checks):
        if check.job_from is None:
            continue
        path: Path = ("spec", "checks", index, "jobFrom", "cronJob")
        name = check.job_from.cron_job
        found = _get(reader, CRON_JOBS, release, name)
        if isinstance(found, str):
            yield finding("not-looked", path, found)
        elif found is None:
            where = f"in namespace {release.metadata.namespace}"
            yield finding("cron-job-missing", path, f"there is no CronJob {name} {where}")
        elif not found["spec"].get("suspend"):
            yield finding("cron-job-runs", path, f"CronJob {name} is not suspended")


def _secrets(release: CanaryRelease, reader: Reader) -> Iterator[Finding]:
    for index, receiver in enumerate(release.spec.notify):
        reference = receiver.secret
        if reference is None:
            continue
        path: Path = ("spec", "notify", index, receiver.kind, "secretRef")
        found = _get(reader, SECRETS, release, reference.name)
        if isinstance(found, str):
            yield finding("not-looked", path, found)
        elif found is None:
            where = f"in namespace {release.metadata.namespace}"
            said = f"there is no Secret {reference.name} {where}"
            yield finding("secret-missing", (*path, "name"), said)
        elif reference.key not in (found.get("data") or {}):
            said = f"Secret {reference.name} has no key {reference.key}"
            yield finding("secret-missing", (*path, "key"), said)


def _rivals(release: CanaryRelease, reader: Reader) -> Iterator[Finding]:
    try:
        found = reader.list(RELEASES, release.metadata.namespace, {})
    except NotFoundError:
        return
    except CanaryError as error:
        yield finding("not-looked", ("spec", "target"), str(error))
        return
    for one in found:
        name = one["metadata"]["name"]
        target = one["spec"].get("target") or {}
        if name != release.metadata.name and target.get("name") == release.spec.target.name:
            yield _same_target(release, name)


def _get(reader: Reader, kind: Kind, release: CanaryRelease, name: str) -> Object | str | None:
    """The object; a sentence where we may not look."""
    try:
        return reader.get(kind, release.metadata.namespace, name)
    except CanaryError as error:
        return str(error)
