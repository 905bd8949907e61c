"""Parses `--rate`: `100`, `100..500` (ramp), `100,200` (steps) or `50@30s,50..500@1m`."""

import math

from canary.api import parse_duration
from canary.errors import UsageError
from canary.loadtest.generator.schedule import ArrivalSpacing, LoadSchedule, LoadStage

_EXPECTED = (
    "--rate: expected requests per second such as 100, a ramp 100..1000, steps 100,200,400, or "
    "parts with durations 50@30s,50..500@1m"
)
_MAX_STAGES = 100


def parse_schedule(
    rate: str,
    duration: float | None,
    warm_up: float = 0.0,
    spacing: ArrivalSpacing = ArrivalSpacing.EVEN,
) -> LoadSchedule:
    """Parse the stages of a profile, and prepend a warm-up at its initial rate.

    `duration` and `warm_up` are seconds. Parts without a duration share `duration` (30 s if it is
    None) equally.

    Raises:
        UsageError: the text is not a profile, or contradicts `duration`.
    """
    parts = [_parse_part(one) for one in rate.split(",")]
    if len(parts) > _MAX_STAGES:
        raise UsageError(f"--rate: expected at most {_MAX_STAGES} parts, found {len(parts)}")
    timed = [seconds for _, _, seconds in parts if seconds is not None]
    if timed and (len(timed) < len(parts) or duration is not None):
        raise UsageError(
            "--rate: expected a duration (@30s) in every part and no --duration, or in no part"
        )
    each = (30.0 if duration is None else duration) / len(parts)
    stages = [LoadStage(low, high, each if own is None else own) for low, high, own in parts]
    if warm_up:
        start = stages[0].start or stages[0].end
        stages.insert(0, LoadStage(start, start, warm_up, measured=False))
    return LoadSchedule(tuple(stages), spacing)


def _parse_part(text: str) -> tuple[float, float, float | None]:
    rates, at, time = text.strip().partition("@")
    low, dots, high = rates.partition("..")
    try:
        seconds = parse_duration(time) if at else None
    except ValueError as error:
        raise UsageError(f"--rate: {error}, found {time!r}") from error
    return _parse_rate(low, text), _parse_rate(high if dots else low, text), seconds


def _parse_rate(text: str, part: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"{_EXPECTED}, found {part!r}") from error
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"{_EXPECTED}, found {part!r}")
    return value
