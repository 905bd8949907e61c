"""ONE PASS. The page to read first: what happens to a release, every few seconds.

Everything that is read is read by `observe`; `judge` and `decide` are pure; everything that is
written to the outside is written by `act`, in the plan's order, and by `report`.
"""

from canary.act import act
from canary.core.judge import judge
from canary.core.rollout import decide
from canary.interfaces import Key, World
from canary.observe import observe
from canary.report import Outcome, report


def reconcile(world: World, key: Key) -> Outcome:
    """One pass over one release; says when to look again.

    Raises NotFoundError when the release is gone, TransientError when it could not be read.
    """
    snapshot = observe(world, key)
    judgement = judge(snapshot)
    plan = decide(snapshot, judgement)
    done = act(world, snapshot.wish, plan)
    return report(world, snapshot, plan, done)
