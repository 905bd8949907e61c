"""Shows the progress of a leak test: a line per load, and a live line on a terminal."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.text import Text

from canary.clock import now
from canary.errors import ExitCode, UsageError
from canary.leaktest.evaluation import LeakTestPolicy, Round
from canary.leaktest.run import run_leak_test
from canary.leaktest.types import (
    LeakTestProgress,
    LeakTestTiming,
    ShowLeakProgress,
    SubjectUnderTest,
)
from canary.loadtest.screen import stop_on_signal
from canary.render.console import SafeConsole, live_display
from canary.results.publishing import Artifacts, publish


def run_and_publish(
    subjects: Sequence[SubjectUnderTest],
    policy: LeakTestPolicy,
    pace: LeakTestTiming,
    writing: Artifacts,
) -> ExitCode:
    """Test the first version (beside the second), show progress, and publish the result."""
    if sys.stdout is None:
        raise UsageError("standard output is closed, so the result cannot be printed")
    canary, *rest = subjects
    with stop_on_signal() as stop, _open_display(policy) as show:
        outcome = run_leak_test(
            canary,
            rest[0] if rest else None,
            policy,
            pace,
            now=now(),
            stop=stop,
            show=show,
        )
    return publish(outcome, writing, sys.stdout)


@contextmanager
def _open_display(policy: LeakTestPolicy) -> Iterator[ShowLeakProgress]:
    console = SafeConsole(stderr=True)
    told = 0

    def news(sight: LeakTestProgress) -> Iterator[str]:
        nonlocal told
        if len(sight.rounds) > told and not sight.phase:
            told = len(sight.rounds)
            if told >= policy.idle:  # all drains before the first load share one line
                yield format_round(sight, policy)

    with live_display(console) as live:
        if live is None:
            yield lambda sight: sys.stderr.writelines(f"{line}\n" for line in news(sight))
            return

        def show(sight: LeakTestProgress) -> None:
            for line in news(sight):
                live.console.print(line, markup=False, highlight=False)
            text = Text(format_progress(sight), no_wrap=True, overflow="ellipsis")
            live.update(text, refresh=True)

        yield show


def format_round(sight: LeakTestProgress, policy: LeakTestPolicy) -> str:
    """Return `load  3  1,240 requests  at rest 2 of 50 in use  stable 0  evidence 3.1 of 125`."""
    last = sight.rounds[-1]
    number = len(sight.rounds) - policy.idle
    name = f"load {number:>2}" if number > 0 else "before "
    parts = [name, f"{sight.requests:>7,} requests", f"at rest {_format_in_use(last)}"]
    if last.canary.waiting:
        parts.append(f"{last.canary.waiting:g} waiting")
    if last.stable is not None:
        parts.append(f"stable {last.stable.in_use:g}")
    if sight.finding is not None:
        evidence = _format_evidence(sight.finding.evidence)
        parts.append(f"evidence {evidence} of {policy.leak_threshold:g}")
    return "  ".join(parts)


def format_progress(sight: LeakTestProgress) -> str:
    """Return `  34 s of 180  load  4,120 requests  23 in use`."""
    parts = [f"{sight.seconds:>4.0f} s of {sight.most:g}"]
    parts += [sight.phase, f"{sight.requests:,} requests"]
    parts.append("" if sight.in_use is None else f"{sight.in_use:g} in use")
    return "  ".join(part for part in parts if part)


def _format_in_use(one: Round) -> str:
    most = f" of {one.canary.maximum:g}" if one.canary.maximum is not None else ""
    return f"{one.canary.in_use:>3g}{most} in use"


def _format_evidence(evidence: float) -> str:
    if evidence >= 1e6:  # noqa: PLR2004 - what fits the line
        return f"{evidence:.0e}"
    return f"{evidence:,.0f}" if evidence >= 10 else f"{evidence:.1f}"  # noqa: PLR2004 - as above
