"""Finds past releases in the metric history: a version that appeared while another one ran. Pure.

A version is the name of a ReplicaSet, read from pod names, or the value of a label. A version that
ran before is not a new release when it reappears: that is the rollback to it.

For example, with these lifetimes in minutes:

    web-a    0 ├──────────────┤ 12
    web-b          5 ├──────────────────── 40
    web-c                       20 ├──┤ 25

`web-b` is a release that stayed, because `web-a` ended first. It is analyzed against `web-a` until
minute 12, and alone after that. `web-c` is a release that was taken back, because `web-b` outlived
it.
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
"""Seconds without samples after which a version has ended. Prometheus looks back as far."""


@dataclass(frozen=True, slots=True)
class VersionLifetime:
    """One version from its first to its last sample, in seconds since the epoch."""

    version: str
    start: float
    end: float


class GroundTruth(StrEnum):
    """Whether a past release was good, from its course or from the user's file."""

    STAYED = "stayed"
    """The release outlived the previous version, so it counts as good."""
    TAKEN_BACK = "taken back"
    UNKNOWN = "not over"
    """Both versions were still running at the end of the history."""
    GOOD = "good"
    BAD = "bad"

    @property
    def good(self) -> bool:
        """Whether a rollback of this release is a false one."""
        return self in {GroundTruth.STAYED, GroundTruth.GOOD}


@dataclass(frozen=True, slots=True)
class PastRelease:
    """One past release. Times are in seconds since the epoch."""

    name: str
    start: float
    end: float
    """End of the analysis."""
    groups: SeriesGroups
    alone_from: float | None = None
    """When the previous version ended; None if it outlived the release."""
    fate: GroundTruth = GroundTruth.UNKNOWN


@dataclass(frozen=True, slots=True)
class VersionMatcher:
    """How to tell versions apart: by the pods of a Deployment or by the values of a label."""

    target: str
    label: str | None
    rest: tuple[Matcher, ...]
    """Conditions on all series, such as the namespace."""
    router: Context | None = None
    """The names of canary and stable in the router's metrics."""

    @property
    def by(self) -> str:
        """The label that identifies a version or its pods."""
        return self.label or "pod"

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Conditions that match the series of all versions."""
        if self.label is not None:
            return (*self.rest, Matcher(self.label, MatchOp.NOT_EQUAL, ""))
        pods = f"{pods_of(self.target)}|{pods_of(self.target + CANARY_SUFFIX)}"
        return (*self.rest, Matcher("pod", MatchOp.REGEX, pods))

    def version_of(self, value: str) -> str | None:
        """Return the version that a value of the label `by` belongs to; None if it is not one."""
        if self.label is not None:
            return value or None
        canary = self.target + CANARY_SUFFIX
        return replica_set_of(value, self.target) or replica_set_of(value, canary)

    def select_series(self, canary: str, stable: str) -> SeriesGroups:
        """Return the conditions that select the series of two versions."""
        return SeriesGroups(self._match_version(canary), self._match_version(stable), self.router)

    def _match_version(self, version: str) -> tuple[Matcher, ...]:
        if self.label is not None:
            return (*self.rest, Matcher(self.label, MatchOp.EQUAL, version))
        return (*self.rest, Matcher("pod", MatchOp.REGEX, pods_of_replica_set(version)))

    def is_own_canary(self, version: str) -> bool:
        """Return whether the version is a canary Deployment of the operator."""
        return self.label is None and is_canary_of(version, self.target)

    def is_promotion_of(self, version: str, canary: str) -> bool:
        """Return whether `version` is the target after the promotion of `canary`."""
        return self.is_own_canary(canary) and not self.is_own_canary(version)


def find_lifetimes(series: Iterable[Series], split: VersionMatcher) -> list[VersionLifetime]:
    """Return the lifetimes of all versions in order of appearance; a version can reappear."""
    times: dict[str, set[float]] = {}
    for one in series:
        if version := split.version_of(one.labels.get(split.by, "")):
            times.setdefault(version, set()).update(time for time, _ in one.points)
    found: list[VersionLifetime] = []
    for version, seen in times.items():
        found += _split_at_gaps(version, sorted(seen))
    return sorted(found, key=lambda life: (life.start, life.version))


def _split_at_gaps(version: str, times: Sequence[float]) -> list[VersionLifetime]:
    # A restart or a missed scrape is not an end: only a gap longer than Prometheus looks back is.
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
    """Return the releases among these lifetimes, in order.

    Each is analyzed for `longest` seconds, or as long as both versions ran if that is longer. `end`
    is the end of the history in seconds since the epoch.
    """
    releases: list[PastRelease] = []
    known: dict[str, VersionLifetime] = {}
    for index, life in enumerate(found):
        beside = _versions_beside(life, found[:index], found, split)
        # The operator's promoted canary appears twice: as the canary and then as the target.
        promoted = any(split.is_promotion_of(life.version, one.version) for one in beside)
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
    """Return the older versions that still ran; the operator's canaries are never the older one."""
    if split.is_own_canary(life.version):
        others = [one for one in found if not split.is_own_canary(one.version)]
        return [one for one in others if one.start <= life.end and one.end >= life.start]
    return [one for one in earlier if one.end >= life.start]


def find_in_window(
    found: Sequence[VersionLifetime], split: VersionMatcher, start: float, end: float
) -> tuple[SeriesGroups, float | None] | None:
    """Return the version that appeared in this window, and the end of the older one beside it."""
    # The user's times are those of a pipeline, the lifetimes those of samples: both are compared
    # with some minutes of tolerance.
    old = [one for one in found if one.start < start - MAX_GAP and one.end >= start - MAX_GAP]
    known = {one.version for one in old}
    new = [one for one in found if start - MAX_GAP <= one.start < end and one.version not in known]
    if not new or not old:
        return None
    gone = old[0].end if old[0].end < min(new[0].end, end) else None
    return split.select_series(new[0].version, old[0].version), gone


def _build_release(
    life: VersionLifetime,
    beside: Sequence[VersionLifetime],
    later: Sequence[VersionLifetime],
    split: VersionMatcher,
    ends: tuple[float, float],
) -> PastRelease:
    # With several older versions beside it, the oldest had all of the traffic before.
    stable = min(beside, key=lambda one: one.start)
    promoted = any(
        split.is_promotion_of(one.version, life.version) and one.start <= life.end
        for one in later
        if one.version != stable.version
    )
    both = min(life.end, stable.end)
    outlived = life.end > stable.end
    following = next((one for one in later if one.start > both), None)
    # Judged for the deadline of a release, or longer while both versions ran; never into the next
    # release, whose errors are not this one's.
    judged = min(life.end, max(both, life.start + ends[1]))
    if outlived and following is not None:
        judged = max(both, min(judged, following.start))
    # A version that the previous one replaced again was taken back, even if it was there alone for
    # a while: people roll back by deploying the old template, whose ReplicaSet then reappears.
    returned = following is not None and following.version == stable.version
    fate = GroundTruth.STAYED if (outlived and not returned) or promoted else GroundTruth.TAKEN_BACK
    if min(life.end, stable.end) >= ends[0] - MAX_GAP:
        fate = GroundTruth.UNKNOWN
    groups = split.select_series(life.version, stable.version)
    alone = stable.end if outlived else None
    return PastRelease(life.version, life.start, judged, groups, alone, fate)
