"""A version that was rolled back never becomes stable by running: the Deployment remembers it."""

from collections.abc import Callable

import pytest

from canary.api import Phase, Reason, Skip, Status, load_release
from canary.core.plan import NoteRejection
from canary.core.snapshot import Verb
from tests.in_memory_world import RESTARTED, InMemoryWorld, SimulatedCrash, SimulatedVersion
from tests.test_reconcile import BAKED, deployed, ended

BAD = {"versions": {"v2": SimulatedVersion(errors=0.5)}}


def rejected() -> InMemoryWorld:
    """v1 is stable, and v2 was rolled back."""
    memory = ended(deployed(**BAD))
    assert memory.status.phase is Phase.ROLLED_BACK
    return memory


def delete(memory: InMemoryWorld) -> None:
    """The CanaryRelease is deleted, and everything is put back."""
    memory.deleting_since = memory.time
    memory.run(200)
    assert memory.gone


def create_again(memory: InMemoryWorld) -> None:
    """A new CanaryRelease knows nothing of the one before."""
    memory.gone, memory.deleting_since, memory.request = False, None, None
    memory.status = Status()
    memory.version += 1


def roll_without_release(memory: InMemoryWorld, template: str, seconds: float = 60) -> None:
    """Nobody guards the Deployment, and somebody applies this template."""
    memory.deploy(template)
    memory.tick(seconds)


def templates(memory: InMemoryWorld) -> set[str]:
    """What the pods run."""
    return {pod.template for pod in memory.pods}


def test_a_rejected_version_that_runs_everywhere_is_not_adopted_by_a_new_release() -> None:
    """Deleted, rolled out unguarded, created again: it says what is wrong and what to do."""
    memory = rejected()
    delete(memory)
    roll_without_release(memory, "v2")
    assert templates(memory) == {"v2"}
    create_again(memory)
    memory.run(60)
    status = memory.status
    assert (status.phase, status.reason) == (Phase.ROLLED_BACK, Reason.REJECTED)
    assert (status.stable_hash, status.rejected_hash) == (None, "v2")
    assert "AboveLimit" in status.message
    assert "canary retry auth" in status.message
    assert [one.reason for one in memory.notices][-1] is Reason.REJECTED
    writes = memory.writes
    memory.run(100)
    assert memory.writes == writes


def test_another_version_that_is_applied_then_is_adopted() -> None:
    """Nothing compares it with the rejected one: it rolls by the Deployment's own strategy."""
    memory = rejected()
    delete(memory)
    roll_without_release(memory, "v2")
    create_again(memory)
    memory.run(30)
    memory.deploy("v3")
    memory.run(100)
    assert (memory.status.phase, memory.status.stable_hash) == (Phase.READY, "v3")
    memory.deploy("v2")
    memory.run(30)
    assert memory.status.reason is Reason.REJECTED
    assert templates(memory) == {"v3"}


@pytest.mark.parametrize(
    ("verb", "details"),
    [
        pytest.param(Verb.RETRY, {}, id="retry"),
        pytest.param(
            Verb.PROMOTE, {"skip": Skip.ANALYSIS, "reason": "it was the database"}, id="skip"
        ),
    ],
)
def test_a_person_accepts_the_rejected_version_that_runs(
    verb: Verb, details: dict[str, object]
) -> None:
    """It is adopted, nothing restarts, and nobody is told again that it was rejected."""
    memory = rejected()
    delete(memory)
    roll_without_release(memory, "v2")
    create_again(memory)
    memory.run(30)
    before = [pod.name for pod in memory.pods]
    memory.ask(verb, **details)
    memory.run(30)
    assert (memory.status.phase, memory.status.stable_hash) == (Phase.READY, "v2")
    assert (memory.rejection, [pod.name for pod in memory.pods]) == (None, before)
    create_again(memory)
    memory.run(30)
    assert memory.status.reason is Reason.ADOPTED


def test_a_rejected_version_in_the_middle_of_its_roll_is_put_back() -> None:
    """The version that still has ready pods becomes stable; the other is not tried by itself."""
    memory = rejected()
    delete(memory)
    roll_without_release(memory, "v2", seconds=3)
    assert templates(memory) == {"v1", "v2"}
    create_again(memory)
    memory.run(60)
    assert (memory.status.stable_hash, memory.status.rejected_hash) == ("v1", "v2")
    assert templates(memory) == {"v1"}
    memory.deploy("v2")
    memory.run(30)
    assert (memory.status.phase, memory.status.reason) == (Phase.ROLLED_BACK, Reason.REJECTED)


def test_a_restart_of_the_rejected_version_does_not_make_it_another() -> None:
    """`kubectl rollout restart` changes the template's hash, and nothing else."""
    memory = rejected()
    delete(memory)
    roll_without_release(memory, "v2")
    roll_without_release(memory, f"v2{RESTARTED}")
    create_again(memory)
    memory.run(30)
    assert (memory.status.reason, memory.status.stable_hash) == (Reason.REJECTED, None)


def test_a_rejected_template_that_is_still_held_is_held_by_the_next_release() -> None:
    """The CanaryRelease went without the operator: the Deployment is paused, and v1 runs."""
    memory = rejected()
    create_again(memory)
    memory.run(30)
    assert (memory.status.reason, memory.status.stable_hash) == (Reason.REJECTED, "v1")
    assert templates(memory) == {"v1"}
    memory.ask(Verb.RETRY)
    memory.run(20)
    assert memory.rejection is None
    assert ended(memory).status.rejected_hash == "v2"


def failed_bake() -> InMemoryWorld:
    """v2 was promoted, and went bad in its bake."""
    memory = deployed(spec=load_release(BAKED, "tests").spec)
    memory.run(900, until=Phase.BAKING)
    memory.versions["v2"] = SimulatedVersion(errors=0.3)
    memory.run(400)
    return memory


def aborted() -> InMemoryWorld:
    """A person ended the release."""
    memory = deployed()
    memory.run(300, until=Phase.PROGRESSING)
    memory.ask(Verb.ABORT)
    memory.run(100)
    return memory


@pytest.mark.parametrize("ending", [rejected, failed_bake, aborted])
def test_however_it_was_rejected_the_target_remembers_it(
    ending: Callable[[], InMemoryWorld],
) -> None:
    """And the CanaryRelease may go at once."""
    memory = ending()
    assert memory.rejection is not None
    assert memory.rejection.template == memory.status.rejected_hash == "v2"


@pytest.mark.parametrize("how", ["promoted", "another template", "undone"])
def test_what_is_no_longer_rejected_is_forgotten(how: str) -> None:
    """A promotion of that very template, or another release."""
    memory = rejected()
    if how == "another template":
        memory.deploy("v3")
    else:
        memory.versions = {}
        memory.ask(Verb.PROMOTE, skip=Skip.ANALYSIS, reason="it was the database")
    ended(memory)
    assert memory.status.reason is Reason.PROMOTED
    memory.run(30)
    assert memory.rejection is None
    if how == "undone":
        memory.ask(Verb.UNDO)
        memory.run(100)
        assert (memory.status.stable_hash, memory.status.rejected_hash) == ("v1", "v2")
        assert memory.rejection is not None
        assert memory.rejection.template == "v2"


def test_a_rollback_that_is_deleted_in_the_middle_leaves_its_rejection_behind() -> None:
    """The CanaryRelease goes before the rollback has ended."""
    memory = deployed(**BAD)
    memory.run(300, until=Phase.ROLLING_BACK)
    delete(memory)
    assert memory.rejection is not None
    assert memory.rejection.template == "v2"


def test_a_refused_note_keeps_the_release_from_ending() -> None:
    """So it can never be at rest with a template that only the status knows as rejected."""
    memory = deployed(**BAD)
    memory.refuse = [NoteRejection, NoteRejection]
    ended(memory)
    assert (memory.status.phase, memory.refuse) == (Phase.ROLLED_BACK, [])
    assert memory.rejection is not None


def test_the_annotation_comes_back_when_somebody_replaces_the_deployment() -> None:
    """`kubectl replace` drops annotations; while the CanaryRelease lives, it knows."""
    memory = rejected()
    memory.rejection = None
    memory.run(30)
    assert memory.rejection is not None
    assert memory.rejection.reason is Reason.ABOVE_LIMIT


def a_new_release_after_an_unguarded_roll(seconds: float) -> InMemoryWorld:
    """v2 was rejected, the CanaryRelease went, v2 was applied, and a CanaryRelease came."""
    memory = rejected()
    delete(memory)
    roll_without_release(memory, "v2", seconds)
    create_again(memory)
    return memory


@pytest.mark.parametrize(("seconds", "stable"), [(3, "v1"), (60, None)])
def test_dying_after_any_write_of_an_adoption_leads_to_the_same_end(
    seconds: float, stable: str | None
) -> None:
    """Whatever the point of the crash, the rejected version is not stable afterwards."""
    memory = a_new_release_after_an_unguarded_roll(seconds)
    before = memory.writes
    memory.run(60)
    for write in range(1, memory.writes - before + 1):
        again = a_new_release_after_an_unguarded_roll(seconds)
        again.die_after = again.writes + write
        with pytest.raises(SimulatedCrash):
            again.run(60)
        again.run(60)
        found = (again.status.stable_hash, again.status.rejected_hash)
        assert found == (stable, "v2"), again.trail
        assert again.rejection is not None
