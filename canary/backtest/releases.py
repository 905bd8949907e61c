"""The releases in a history: when a version appeared beside another one, and what became of it.

Pure. A version is known by the name of its ReplicaSet, which is in its pods' names, or by the value
of a label. One that was there before is no release: it is the way back from one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from canary.analyze.series import SeriesGroups
from canary.core.series import Matcher, MatchOp, Series
from canary.metrics.pod_names import (
    CANARY_SUFFIX,
    is_canary_of,
    pods_of,
    pods_of_replica_set,
    replica_set_of,
)
from canary.metrics.queries import Context

MAX_GAP = 300.0
"""Seconds without any series after which a version is gone: as long as Prometheus looks back."""


@dataclass(frozen=True, slots=True)
class VersionLifetime:
    """One version, from its first to its last sample (seconds since the epoch)."""

    version: str
    start: float
    end: float


class GroundTruth(StrEnum):
    """What became of a release, or what somebody says of it."""

    STAYED = "stayed"
    """The version before it went, so it counts as good."""
    TAKEN_BACK = "taken back"
    UNKNOWN = "not over"
    """Both versions were still there at the end of the history."""
    GOOD = "good"
    BAD = "bad"

    @property
    def good(self) -> bool:
        """Whether failing it would have been a mistake."""
        return self in {GroundTruth.STAYED, GroundTruth.GOOD}


@dataclass(frozen=True, slots=True)
class PastRelease:
    """One release of the past; times are seconds since the epoch."""

    name: str
    start: float
    end: float
    """Until when it is judged."""
    groups: SeriesGroups
    alone_from: float | None = None
    """When the version before it was gone."""
    fate: GroundTruth = GroundTruth.UNKNOWN


@dataclass(frozen=True, slots=True)
class VersionMatcher:
    """How versions are told apart: by pods of a Deployment, or by the values of a label."""

    target: str
    label: str | None
    rest: tuple[Matcher, ...]
    """Conditions on all series: the namespace, and what narrows them further."""
    router: Context | None = None
    """What the release's router calls the two sides."""

    @property
    def by(self) -> str:
        """The label to ask for."""
        return self.label or "pod"

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Conditions on the series of any version."""
        if self.label is not None:
            return (*self.rest, Matcher(self.label, MatchOp.NOT_EQUAL, ""))
        pods = f"{pods_of(self.target)}|{pods_of(self.target + CANARY_SUFFIX)}"
        return (*self.rest, Matcher("pod", MatchOp.REGEX, pods))

    def version_of(self, value: str) -> str | None:
        """The version that a value of `by` belongs to; None: somebody else's."""
        if self.label is not None:
            return value or None
        canary = self.target + CANARY_SUFFIX
        return replica_set_of(value, self.target) or replica_set_of(value, canary)

    def groups(self, canary: str, stable: str) -> SeriesGroups:
        """The series of two versions."""
        return SeriesGroups(self._of(canary), self._of(stable), self.router)

    def _of(self, version: str) -> tuple[Matcher, ...]:
        if self.label is not None:
            return (*self.rest, Matcher(self.label, MatchOp.EQUAL, version))
        return (*self.rest, Matcher("pod", MatchOp.REGEX, pods_of_replica_set(version)))

    def ours(self, version: str) -> bool:
        """Whether it is a canary that the operator made."""
        return self.label is None and is_canary_of(version, self.target)

    def promotes(self, version: str, canary: str) -> bool:
        """Whether `version` is what a canary of ours became: the Deployment itself, rolled."""
        return self.ours(canary) and not self.ours(version)


def find_lifetimes(series: Iterable[Series], split: VersionMatcher) -> list[VersionLifetime]:
    """When each version was there, in order of appearance; a version can come back."""
    times: dict[str, set[float]] = {}
    for one in series:
        if version := split.version_of(one.labels.get(split.by, "")):
            times.setdefault(version, set()).update(time for time, _ in one.points)
    found: list[VersionLifetime] = []
    for version, seen in times.items():
        found += _split_at_gaps(version, sorted(seen))
    return sorted(found, key=lambda life: (life.start, life.version))


def _split_at_gaps(version: str, times: Sequence[float]) -> list[VersionLifetime]:
    found = [VersionLifetime(version, times[0], times[0])] if times else []
    for time in times:
        last = found[-1]
        if time - last.end > MAX_GAP:
            found.append(VersionLifetime(version, time, time))
        else:
            found[-1] = replace(last, end=time)
    return found


def find_releases(
    found: Sequence[VersionLifetime], split: VersionMatcher, end: float, longest: float
) -> list[PastRelease]:
    """The releases among these lives, in order; each is judged for `longest` seconds at most.

    Longer, where both versions stayed beside each other. `end` is the end of the history.
    """
    releases: list[PastRelease] = []
    known: dict[str, VersionLifetime] = {}
    for index, life in enumerate(found):
        beside = _versions_beside(life, found[:index], found, split)
        # A canary of ours that was promoted is there twice: first beside, then as the Deployment.
        promoted = any(split.promotes(life.version, one.version) for one in beside)
        if beside and life.version not in known and not promoted:
            releases.append(_build_release(life, beside, found[index + 1 :], split, (end, longest)))
        known[life.version] = life
    return releases


def _versions_beside(
    life: VersionLifetime,
    earlier: Sequence[VersionLifetime],
    found: Sequence[VersionLifetime],
    split: VersionMatcher,
) -> list[VersionLifetime]:
    """What was there before it and still is; a canary of ours never is what others came beside."""
    if split.ours(life.version):
        others = [one for one in found if not split.ours(one.version)]
        return [one for one in others if one.start <= life.end and one.end >= life.start]
    return [one for one in earlier if one.end >= life.start]


def find_in_window(
    found: Sequence[VersionLifetime], split: VersionMatcher, start: float, end: float
) -> tuple[SeriesGroups, float | None] | None:
    """The version that appeared between two times beside an older one, and when that one went."""
    old = [one for one in found if one.start < start - MAX_GAP and one.end >= start - MAX_GAP]
    known = {one.version for one in old}
    new = [one for one in found if start - MAX_GAP <= one.start < end and one.version not in known]
    if not new or not old:
        return None
    gone = old[0].end if old[0].end < min(new[0].end, end) else None
    return split.groups(new[0].version, old[0].version), gone


def _build_release(
    life: VersionLifetime,
    beside: Sequence[VersionLifetime],
    later: Sequence[VersionLifetime],
    split: VersionMatcher,
    ends: tuple[float, float],
) -> PastRelease:
    stable = min(beside, key=lambda one: one.start)
    promoted = any(
        split.promotes(one.version, life.version) and one.start <= life.end
        for one in later
        if one.version != stable.version
    )
    both = min(life.end, stable.end)
    outlived = life.end > stable.end
    following = next((one for one in later if one.start > both), None)
    judged = min(life.end, max(both, life.start + ends[1]))
    if outlived and following is not None:
        judged = max(both, min(judged, following.start))
    returned = following is not None and following.version == stable.version
    fate = GroundTruth.STAYED if (outlived and not returned) or promoted else GroundTruth.TAKEN_BACK
    if min(life.end, stable.end) >= ends[0] - MAX_GAP:
        fate = GroundTruth.UNKNOWN
    groups = split.groups(life.version, stable.version)
    alone = stable.end if outlived else None
    return PastRelease(life.version, life.start, judged, groups, alone, fate)
