"""ONE PASS. The page to read first: what happens to a release, every few seconds.

Everything that is read is read by `observe`; `analyze_release` and `decide` are pure; everything
that is written to the outside is written by `act`, in the plan's order, and by `update_status`.
"""

import logging

from canary.act import act
from canary.core.analysis import AnalysisResult, analyze_release, build_failed_analysis
from canary.core.rollout import decide
from canary.core.snapshot import Snapshot
from canary.interfaces import Key, World
from canary.observe import observe
from canary.status_update import PassResult, update_status

_log = logging.getLogger(__name__)


def reconcile(world: World, key: Key) -> PassResult:
    """One pass over one release; says when to look again.

    Raises NotFoundError when the release is gone, TransientError when it could not be read.
    """
    snapshot = observe(world, key)
    result = analyze_safely(snapshot)
    plan = decide(snapshot, result)
    done = act(world, snapshot.resource, plan)
    return update_status(world, snapshot, plan, done)


def analyze_safely(snapshot: Snapshot) -> AnalysisResult:
    """Whatever goes wrong in the analysis says nothing about the canary; the pass goes on."""
    try:
        return analyze_release(snapshot)
    except Exception as error:  # noqa: BLE001 - protection must not depend on metrics
        _log.exception("the metrics could not be analyzed")
        return build_failed_analysis(snapshot, error)
