"""Settings of the demo."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from canary.api import AnalysisSource, CanaryRelease, Spec, load_release
from canary.demo.choices import MetricsSourceName
from canary.errors import UsageError

MAX_SECONDS = 120.0
"""Maximum sum of step durations, and maximum of `minDuration`, in seconds."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The random seed, the release to play, and its source of metrics."""

    seed: int
    release: CanaryRelease
    source: MetricsSourceName = MetricsSourceName.SCRAPE
    history: float = 20.0
    """Seconds of load on the old version before the release, which give stable's baseline."""

    @property
    def spec(self) -> Spec:
        """The release's spec with the selected source of metrics."""
        changes = {"source": AnalysisSource(self.source.value)}
        analysis = self.release.spec.analysis.model_copy(update=changes)
        return self.release.spec.model_copy(update={"analysis": analysis})


def load_builtin_release() -> CanaryRelease:
    """Load the CanaryRelease that the demo plays by default."""
    text = files(__package__).joinpath("release.yaml").read_text(encoding="utf-8")
    return load_release(text, "the demo's release.yaml")


def load_release_file(path: str) -> CanaryRelease:
    """Load a user's CanaryRelease file.

    Raises:
        UsageError: the file cannot be read, is invalid, or does not fit the demo.
    """
    try:
        release = load_release(Path(path).read_bytes(), path)
    except OSError as error:
        raise UsageError(f"--release: cannot read {path}: {error.strerror}") from error
    if release.spec.target.name != "auth" or release.spec.traffic.traefik is None:
        raise UsageError(
            f"--release: {path}: expected target.name auth and traffic.traefik, which the demo has"
        )
    spec = release.spec
    needed = max(sum(step.duration for step in spec.steps), spec.analysis.min_duration)
    if spec.checks or any(step.approval for step in spec.steps) or needed > MAX_SECONDS:
        raise UsageError(
            f"--release: {path} does not fit the demo: expected no checks, no approval, and step "
            f"durations and analysis.minDuration of at most {MAX_SECONDS:g} s, found {needed:g} s"
        )
    return release
