"""ONE PASS. The page to read first: what happens to a release, every few seconds.

Everything that is read is read by `observe`; `analyze_release` and `decide` are pure; everything
that is written to the outside is written by `act`, in the plan's order, and by `report`.
"""

from canary.act import act
from canary.core.analysis import analyze_release
from canary.core.rollout import decide
from canary.interfaces import Key, World
from canary.observe import observe
from canary.report import Outcome, report


def reconcile(world: World, key: Key) -> Outcome:
    """One pass over one release; says when to look again.

    Raises NotFoundError when the release is gone, TransientError when it could not be read.
    """
    snapshot = observe(world, key)
    result = analyze_release(snapshot)
    plan = decide(snapshot, result)
    done = act(world, snapshot.wish, plan)
    return report(world, snapshot, plan, done)
