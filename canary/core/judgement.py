"""What the judge says of one release at one moment."""

from dataclasses import dataclass, field
from typing import Any

from canary.api import MetricStatus, Reason, Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """`step` allows the next weight, `final` the promotion; Fail is in both and outranks all."""

    step: Verdict = Verdict.NO_DATA
    final: Verdict = Verdict.NO_DATA
    reason: Reason | None = None
    """Why it failed, or what is being waited for."""
    message: str = ""
    stable_unhealthy: bool = False
    not_shifted: bool = False
    """The canary's share of requests contradicts the weight in the route."""
    canary_busy: bool = False
    """The canary's request counter still moved in the last interval."""
    until: float | None = None
    """Judged up to this time (seconds since the epoch)."""
    metrics: tuple[MetricStatus, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    """Goes back into the judge with the next samples; plain numbers."""

    @property
    def failed(self) -> bool:
        """The canary is worse."""
        return self.step is Verdict.FAIL


UNJUDGED = Judgement()
