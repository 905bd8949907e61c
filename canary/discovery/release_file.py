"""Loads the CanaryRelease of a file, for commands that apply its analysis to other data."""

import sys
from collections.abc import Iterator
from pathlib import Path

from canary.api import CanaryRelease, describe_unknown, load_release
from canary.api import Path as FieldPath
from canary.api.yaml_documents import MAX_BYTES
from canary.errors import UsageError
from canary.metrics.presets import LATENCIES, POOLS, RATIOS


def load_release_file(file: str) -> CanaryRelease:
    """Return the only CanaryRelease of a file (`-`: standard input).

    Raises:
        UsageError: the file does not exist or is not valid; lists every problem.
    """
    name = "stdin" if file == "-" else file
    try:
        if file == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{name}: expected a CanaryRelease in YAML, found: {error.strerror or error}"
        ) from error
    return load_release(content, name, rules=(find_unknown_presets,))


def find_unknown_presets(release: CanaryRelease) -> Iterator[tuple[FieldPath, str]]:
    """Yield path and message for each unknown preset name."""
    known = {
        "ratio": [row.name for row in RATIOS],
        "latency": [row.name for row in LATENCIES],
        "clientErrors": [row.name for row in RATIOS if row.client is not None],
        "pool": [row.name for row in POOLS],
    }
    for index, metric in enumerate(release.spec.analysis.metrics):
        name = metric.preset
        if name is not None and name not in known[metric.kind]:
            path = ("spec", "analysis", "metrics", index, metric.kind, "preset")
            yield path, describe_unknown(f"{metric.kind} preset", name, known[metric.kind])
