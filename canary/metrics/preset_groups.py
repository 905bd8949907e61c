"""Groups presets that read the same series, so that these are counted once. Pure.

Rules and `canary pools` read all pods, not those of one release, so they cannot know which preset
applies: `npgsql` and `otel-db` differ only in their other series.
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
    """The pool series of one or more presets; see PoolPreset. `name` is the first preset's."""

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
        """Return the label that names the pod, or the client if the database exports the pool."""
        return self.backend.label if self.backend else "pod"


@dataclass(frozen=True, slots=True)
class RatioPresetGroup:
    """The request series of one or more presets; one of `bad` selects the failed requests."""

    name: str
    presets: tuple[str, ...]
    total: Selector
    bad: tuple[Matcher, ...]
    backend: Backend | None


def pool_preset_groups(presets: Iterable[PoolPreset] = POOLS) -> tuple[PoolPresetGroup, ...]:
    """Return all pool presets, grouped by their series of connections in use."""
    groups: dict[tuple[Selector, tuple[str, ...]], list[PoolPreset]] = {}
    for preset in presets:
        groups.setdefault((preset.in_use, preset.pools), []).append(preset)
    return tuple(_group_pools(group) for group in groups.values())


def ratio_preset_groups(presets: Iterable[RatioPreset] = RATIOS) -> tuple[RatioPresetGroup, ...]:
    """Return all ratio presets, grouped by metric; the first preset's conditions apply to all."""
    groups: dict[str, list[RatioPreset]] = {}
    for preset in presets:
        groups.setdefault(preset.total.metric, []).append(preset)
    return tuple(
        RatioPresetGroup(
            group[0].name,
            tuple(one.name for one in group),
            group[0].total,
            _select_widest(one.bad for one in group),
            group[0].backend,
        )
        for group in groups.values()
    )


def service_and_version(name: str) -> tuple[str, str]:
    """Return service and version (`canary` or `stable`) of a pod or workload, from its name.

    >>> service_and_version("auth-canary-6c9d8f7b5-x2k4p")
    ('auth', 'canary')
    >>> service_and_version("auth-0")
    ('auth', 'stable')
    """
    match = re.fullmatch(SERVICE, name)
    service = match.group(1) if match else name
    return service, "canary" if re.fullmatch(CANARY, name) else "stable"


def format_selector(selector: Selector, *more: Matcher) -> str:
    """Return the selector in PromQL, with additional matchers."""
    return vector_selector(Selector(selector.metric, (*selector.matchers, *more)))


def _group_pools(group: list[PoolPreset]) -> PoolPresetGroup:
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


def _select_widest(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """Return one matcher per label, the widest: `5..|5xx` includes `5..`."""
    found: dict[str, Matcher] = {}
    for one in matchers:
        if one.label not in found or len(one.value) > len(found[one.label].value):
            found[one.label] = one
    return tuple(found.values())
