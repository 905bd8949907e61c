"""Reconciles one release in one pass. Read this file first.

`observe` reads everything; `analyze_release` and `decide` are pure; `act` writes to the world in
the plan's order, and `update_status` writes the status.
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
    """Reconcile one release once; the result says when to reconcile it again.

    Raises NotFoundError when the release is gone, TransientError when it could not be read.
    """
    snapshot = observe(world, key)
    result = analyze_safely(snapshot)
    plan = decide(snapshot, result)
    done = act(world, snapshot.resource, plan)
    return update_status(world, snapshot, plan, done)


def analyze_safely(snapshot: Snapshot) -> AnalysisResult:
    """Analyze the release; an error becomes a result without a verdict, and the pass continues."""
    try:
        return analyze_release(snapshot)
    except Exception as error:  # noqa: BLE001 - automatic rollback must not depend on metrics
        _log.exception("the metrics could not be analyzed")
        return build_failed_analysis(snapshot, error)
