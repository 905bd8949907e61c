"""Presets that read the same series form one group, counted once. Pure.

Rules and `canary pools` look at all pods, not at those of one release, so they cannot ask which
preset is meant: `npgsql` and `otel-db` are told apart by nothing but what else they export.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from canary.core.series import Matcher, Selector
from canary.metrics.pod_names import CANARY, SERVICE
from canary.metrics.presets import POOLS, RATIOS, Backend, PoolPreset, RatioPreset
from canary.metrics.promql import vector_selector


@dataclass(frozen=True, slots=True)
class PoolPresetGroup:
    """A pool as whatever exporter has it; see PoolPreset. `name` is its first preset's."""

    name: str
    presets: tuple[str, ...]
    in_use: Selector
    idle: Selector | None
    maximum: Selector | None
    waiting: tuple[Selector, ...]
    timeouts: tuple[Selector, ...]
    hold: Selector | None
    hold_unit: float
    pools: tuple[str, ...]
    backend: Backend | None
    shared_maximum: bool
    maximum_by: tuple[str, ...]

    @property
    def who(self) -> str:
        """The label whose value names the pod, or the client where the database is asked."""
        return self.backend.label if self.backend else "pod"


@dataclass(frozen=True, slots=True)
class RatioPresetGroup:
    """Requests as whatever exporter has them; one of `bad` says which failed."""

    name: str
    presets: tuple[str, ...]
    total: Selector
    bad: tuple[Matcher, ...]
    backend: Backend | None


def pool_preset_groups(presets: Iterable[PoolPreset] = POOLS) -> tuple[PoolPresetGroup, ...]:
    """All pool presets, those with the same connections in use as one."""
    groups: dict[tuple[Selector, tuple[str, ...]], list[PoolPreset]] = {}
    for preset in presets:
        groups.setdefault((preset.in_use, preset.pools), []).append(preset)
    return tuple(_pool(group) for group in groups.values())


def ratio_preset_groups(presets: Iterable[RatioPreset] = RATIOS) -> tuple[RatioPresetGroup, ...]:
    """All ratio presets, those of one metric as one; the first's conditions hold for all."""
    groups: dict[str, list[RatioPreset]] = {}
    for preset in presets:
        groups.setdefault(preset.total.metric, []).append(preset)
    return tuple(
        RatioPresetGroup(
            group[0].name,
            tuple(one.name for one in group),
            group[0].total,
            _widest(one.bad for one in group),
            group[0].backend,
        )
        for group in groups.values()
    )


def service_and_version(name: str) -> tuple[str, str]:
    """Service and version (`canary` or `stable`) of a pod or workload, by its name.

    >>> service_and_version("auth-canary-6c9d8f7b5-x2k4p")
    ('auth', 'canary')
    >>> service_and_version("auth-0")
    ('auth', 'stable')
    """
    match = re.fullmatch(SERVICE, name)
    service = match.group(1) if match else name
    return service, "canary" if re.fullmatch(CANARY, name) else "stable"


def text(selector: Selector, *more: Matcher) -> str:
    """The selector in PromQL, with further conditions."""
    return vector_selector(Selector(selector.metric, (*selector.matchers, *more)))


def _pool(group: list[PoolPreset]) -> PoolPresetGroup:
    first = group[0]
    return PoolPresetGroup(
        first.name,
        tuple(one.name for one in group),
        first.in_use,
        first.idle,
        next((one.maximum for one in group if one.maximum), None),
        tuple(dict.fromkeys(one.waiting for one in group if one.waiting)),
        tuple(dict.fromkeys(one.timeouts for one in group if one.timeouts)),
        next((one.hold for one in group if one.hold), None),
        first.hold_unit,
        first.pools,
        first.backend,
        first.shared_maximum,
        first.maximum_by,
    )


def _widest(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """One per label, the one that takes in most: `5..|5xx` also means `5..`."""
    found: dict[str, Matcher] = {}
    for one in matchers:
        if one.label not in found or len(one.value) > len(found[one.label].value):
            found[one.label] = one
    return tuple(found.values())
