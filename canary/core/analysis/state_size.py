"""Limits the size of the analysis state in the status.

Names of pods and values of labels are arbitrary, and etcd rejects a status above 1.5 MB, after
which no weight could be written. For example, with a limit of 512 KiB the states of errors, latency
and pool have 5, 5 and 900 KiB. The pool's is dropped, and the pool has no data and a message that
explains it. Errors and latency are analyzed as before.
"""

from collections.abc import Sequence
from dataclasses import replace

from canary.api import Verdict
from canary.core.analysis.input import MetricResult

MAX_STATE_BYTES = 512 << 10
"""Maximum bytes per release. `python -m bench.wide` prints what pools and series need."""


def limit_state_size(
    found: Sequence[MetricResult], most: int = MAX_STATE_BYTES
) -> list[MetricResult]:
    """Return the results, without the largest states, so that the rest has at most `most` bytes.

    A metric without its state is NoData, unless it failed: a failure is kept.
    """
    sizes = {index: _count_state_bytes(one) for index, one in enumerate(found)}
    limited = list(found)
    for index in sorted(sizes, key=lambda index: -sizes[index]):
        if sum(sizes.values()) <= most:
            break
        limited[index] = _without_state(limited[index], sizes.pop(index), most)
    return limited


def _count_state_bytes(result: MetricResult) -> int:
    return 0 if result.state is None else len(result.state.model_dump_json(exclude_none=True))


def _without_state(result: MetricResult, size: int, most: int) -> MetricResult:
    state = result.state and type(result.state)(until=result.state.until)
    if result.step is Verdict.FAIL:
        return replace(result, state=state)
    words = (
        f"the state of the analysis needs {size:,} bytes, but a release has at most {most:,}: is "
        "there a label with very many or very long values?"
    )
    status = result.status.model_copy(update={"verdict": Verdict.NO_DATA, "message": words})
    return replace(result, status=status, step=Verdict.NO_DATA, final=Verdict.NO_DATA, state=state)
