"""What is common today: a fixed threshold on the canary's success rate, minute by minute."""

from collections.abc import Iterable

from canary.core.evidence import Interval

THRESHOLD = 0.01
FAILED_CHECKS = 5


def minutes(intervals: Iterable[Interval]) -> list[tuple[float, bool]]:
    """(end in seconds, breached) of each minute with canary requests."""
    checks: dict[int, tuple[float, float]] = {}
    for interval in intervals:
        minute = int(interval.start // 60)
        total, bad = checks.get(minute, (0.0, 0.0))
        checks[minute] = (total + interval.canary_total, bad + interval.canary_bad)
    return [
        (60.0 * (minute + 1), bad > THRESHOLD * total)
        for minute, (total, bad) in sorted(checks.items())
        if total > 0
    ]


def decided(checks: Iterable[tuple[float, bool]], failures: int) -> float | None:
    """When the fixed threshold has failed `failures` checks (seconds), if it has."""
    seen = 0
    for end, breached in checks:
        seen += breached
        if seen == failures:
            return end
    return None
