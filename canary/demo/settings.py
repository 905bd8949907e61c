"""What a demo is played with."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from canary.api import AnalysisSource, CanaryRelease, Spec, load_release
from canary.demo.choices import MetricsSourceName
from canary.errors import UsageError

MAX_SECONDS = 120.0
"""Seconds of step durations, or of the minimum under traffic, that a demo has time for."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """How to play: the seed of all chance, the release in charge, where its numbers come from."""

    seed: int
    release: CanaryRelease
    source: MetricsSourceName = MetricsSourceName.SCRAPE
    history: float = 20.0
    """Seconds of load on the old version before the release: stable's usual rate."""

    @property
    def spec(self) -> Spec:
        """The release's spec, with the source that was chosen."""
        changes = {"source": AnalysisSource(self.source.value)}
        analysis = self.release.spec.analysis.model_copy(update=changes)
        return self.release.spec.model_copy(update={"analysis": analysis})


def load_builtin_release() -> CanaryRelease:
    """The CanaryRelease that the demo plays by default."""
    text = files(__package__).joinpath("release.yaml").read_text(encoding="utf-8")
    return load_release(text, "the demo's release.yaml")


def load_release_file(path: str) -> CanaryRelease:
    """A user's CanaryRelease file.

    Raises:
        UsageError: it cannot be read, is wrong, or names another target than the demo has.
    """
    try:
        release = load_release(Path(path).read_bytes(), path)
    except OSError as error:
        raise UsageError(f"--release: {path} cannot be read: {error.strerror}") from error
    if release.spec.target.name != "auth" or release.spec.traffic.traefik is None:
        raise UsageError(
            f"--release: {path} must have the target auth and traffic.traefik, as the demo has"
        )
    spec = release.spec
    needed = max(sum(step.duration for step in spec.steps), spec.analysis.min_duration)
    if spec.checks or any(step.approval for step in spec.steps) or needed > MAX_SECONDS:
        raise UsageError(
            f"--release: {path} cannot end within the demo: no checks before traffic, no approval, "
            f"step durations and analysis.minDuration of at most {MAX_SECONDS:g} s are expected, "
            f"found {needed:g} s"
        )
    return release
