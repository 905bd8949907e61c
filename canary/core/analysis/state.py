"""Converts between the stored state of the analysis and the states of its engines."""

from dataclasses import astuple, fields

from canary.api.judge_state import (
    Blocks,
    EvidenceParts,
    JudgeState,
    NamedCounts,
    OpenBlock,
    PoolBet,
    PoolFailed,
    RouteCounts,
    StoredPool,
    StoredPoolWindow,
    StoredSilence,
    StoredWindows,
    UnreadableState,
)
from canary.api.reasons import Verdict
from canary.core.evidence import EvidenceState, PodCount, Stratum
from canary.core.evidence.pod_windows import ErrorBin, OpenPod, PodWindowsState
from canary.core.pools.detector import DetectorState, PoolFailure
from canary.core.pools.share_test import ShareBet
from canary.core.pools.window import Block, SlidingWindow

_ROUTE_FIELDS = ("name", "canary", "canary_bad", "stable", "stable_bad")
OptionalJudgeState = JudgeState | UnreadableState | None


def store_quiet(quiet: tuple[Verdict, str] | None) -> StoredSilence | None:
    """Convert the reason for missing data to its stored form."""
    return None if quiet is None else StoredSilence(verdict=quiet[0], why=quiet[1])


def restore_quiet(quiet: StoredSilence | None) -> tuple[Verdict, str] | None:
    """Convert the stored reason for missing data back."""
    return None if quiet is None else (quiet.verdict, quiet.why)


def restore_evidence(parts: EvidenceParts | None) -> EvidenceState:
    """Convert the stored evidence to the state of the engine."""
    if parts is None:
        return EvidenceState()
    kept = parts.pod_windows
    windows = None
    if kept is not None:
        bins = tuple(ErrorBin(*vars(one).values()) for one in kept.bins)
        pods = tuple(OpenPod(*vars(one).values()) for one in kept.open_pods)
        windows = PodWindowsState(**{**vars(kept), "bins": bins, "open_pods": pods})
    opened = parts.open or OpenBlock(start=0.0, end=0.0)
    open_pods = tuple(PodCount(one.name, one.total, one.bad) for one in opened.pods)
    open_routes = tuple(
        Stratum(one.name, one.canary, one.canary_bad, one.stable, one.stable_bad)
        for one in opened.routes
    )
    return EvidenceState(*parts.numbers(), windows, open_pods, open_routes)


def store_evidence(state: EvidenceState) -> EvidenceParts | None:
    """Convert the state of the engine to its stored form; None if nothing was folded."""
    if not state.values:
        return None
    parts = EvidenceParts.from_numbers(state.values, state.names)
    if parts.open is not None:
        pods = tuple(NamedCounts(name=pod, total=n, bad=x) for pod, n, x in state.open_pods)
        routes = tuple(
            RouteCounts(**dict(zip(_ROUTE_FIELDS, one, strict=True))) for one in state.open_routes
        )
        opened = parts.open.model_copy(update={"pods": pods, "routes": routes})
        parts = parts.model_copy(update={"open": opened})
    windows = state.windows
    if windows is None:
        return parts
    kept = StoredWindows(
        **{
            **{one.name: getattr(windows, one.name) for one in fields(windows)},
            "bins": [one._asdict() for one in windows.bins],
            "open_pods": [one._asdict() for one in windows.open_pods],
        }
    )
    return parts.model_copy(update={"pod_windows": kept})


def restore_pool(stored: StoredPool) -> DetectorState:
    """Convert the stored pool to the state of the detector."""
    if stored.stable is None or stored.bet is None:
        return DetectorState()
    failed, bet = stored.failed, stored.bet
    return DetectorState(
        tracks=tuple(map(_restore_window, stored.canary)),
        stable=_restore_window(stored.stable),
        bet=ShareBet(**{one.name: getattr(bet, one.name) for one in fields(ShareBet)}),
        covered=stored.covered,
        shared=stored.shared,
        failure=None if failed is None else PoolFailure(failed.reason, failed.at, failed.sentence),
        unheard=stored.unheard,
    )


def store_pool(
    state: DetectorState, until: float | None, quiet: tuple[Verdict, str] | None
) -> StoredPool:
    """Convert the state of the detector to its stored form."""
    names = PoolFailed.model_fields
    failed = state.failure and dict(zip(names, astuple(state.failure), strict=True))
    return StoredPool(
        until=until,
        quiet=store_quiet(quiet),
        canary=tuple(map(_store_window, state.tracks)),
        stable=_store_window(state.stable),
        bet=PoolBet.model_validate(
            {one.name: getattr(state.bet, one.name) for one in fields(ShareBet)}
        ),
        covered=state.covered,
        shared=state.shared,
        failed=failed and PoolFailed.model_validate(failed),
        unheard=state.unheard,
    )


_SCALARS = ("name", "first", "last", "in_use", "maximum", "over", "waiting", "leaking")


def _restore_window(window: StoredPoolWindow) -> SlidingWindow:
    columns = [getattr(window.blocks, one.name) for one in fields(Block)]
    blocks = [Block(*row) for row in zip(*columns, strict=True)]
    kept = {name: getattr(window, name) for name in _SCALARS}
    return SlidingWindow(**kept, blocks=tuple(blocks[:-1]), open=blocks[-1] if blocks else Block())


def _store_window(track: SlidingWindow) -> StoredPoolWindow:
    blocks = (*track.blocks, track.open)
    columns = {one.name: [getattr(block, one.name) for block in blocks] for one in fields(Block)}
    kept = {name: getattr(track, name) for name in _SCALARS}
    return StoredPoolWindow(**kept, blocks=Blocks.model_validate(columns))
