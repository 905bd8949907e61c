"""A status that anybody may have written: it is always read, and never keeps a release unprotected."""

import copy
import json
import random
from typing import Any

import pytest

from canary.api import Intent, Phase, Reason
from canary.api.judge_state import UnreadableState
from canary.api.status_reader import read_status
from canary.core.snapshot import Verb
from canary.reconcile import reconcile
from tests.in_memory_world import KEY, InMemoryWorld, SimulatedVersion

MUTANTS = 1500
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 3, 1e300, -1e300, float("nan"), 2**70, "", "Bogus", "9", [], [[]], [1, "x"],
    {}, {"version": 9}, {"a": {"b": 1}},
)  # fmt: skip


def burning() -> InMemoryWorld:
    """A release of a version that fails, a few seconds after its first traffic."""
    memory = InMemoryWorld(versions={"v2": SimulatedVersion(errors=0.9)}, rps=60.0)
    memory.run(20)
    memory.deploy("v2")
    while memory.status.step_started_at is None:
        memory.step()
    memory.step()
    assert memory.status.intent is Intent.ADVANCE
    assert memory.status.judge is not None
    return memory


WORLD = burning()
STATUS = json.loads(WORLD.status.model_dump_json(by_alias=True, exclude_none=True))


def paths(node: object, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every node below the root."""
    items = node.items() if isinstance(node, dict) else ()
    items = enumerate(node) if isinstance(node, list) else items
    return [way for key, below in items for way in ((*at, key), *paths(below, (*at, key)))]


PATHS = paths(STATUS)


def mutant(number: int) -> dict[str, Any]:
    """The status with one node, or a few, deleted, replaced or added."""
    chance = random.Random(number)  # noqa: S311 - no secrets
    found: dict[str, Any] = copy.deepcopy(STATUS)
    for _ in range(chance.choice((1, 1, 1, 3))):
        *way, last = chance.choice(PATHS)
        node: Any = found
        try:
            for key in way:
                node = node[key]
            match chance.randrange(4):
                case 0:
                    del node[last]
                case 1 if isinstance(node, dict):
                    node["invented"] = chance.choice(JUNK)
                case _:
                    node[last] = copy.deepcopy(chance.choice(JUNK))
        except (LookupError, TypeError):
            continue  # an earlier mutation took the way there
    return found


def world_with(status: object) -> InMemoryWorld:
    """The burning release, with this status in the store."""
    kept = (WORLD.spec, WORLD.status, WORLD.judged, *WORLD.notices)  # frozen, and slow to copy
    memory = copy.deepcopy(WORLD, {id(one): one for one in kept})
    memory.status, memory.foreign_status = read_status(status), True
    return memory


def is_safe(memory: InMemoryWorld) -> bool:
    """No traffic to the version that fails, and nothing of its canary left."""
    return not memory.weight and memory.canary_template is None


def test_no_mutant_of_a_status_keeps_a_pass_from_running():
    """1,500 of them, each read and passed over once; they are not all alike."""
    seen = set()
    for number in range(MUTANTS):
        memory = world_with(mutant(number))
        reconcile(memory.world, KEY)
        seen.add((memory.status.intent, memory.status.reason))
    assert len(seen) > 3


@pytest.mark.parametrize("number", range(0, MUTANTS, 50))
def test_a_burning_canary_is_rolled_back_whatever_its_status(number: int):
    """By its metrics where the status can be gone on from, else because nobody knows it."""
    memory = world_with(mutant(number))
    memory.run(240)
    if memory.status.release is not None and memory.status.release.pause is not None:
        assert memory.status.release.pause.reason is not Reason.JUDGE_STATE_UNREADABLE
        memory.ask(Verb.RESUME)
        memory.run(240)
    assert is_safe(memory), memory.trail[-8:]


@pytest.mark.parametrize("number", range(25, MUTANTS, 100))
def test_abort_and_deletion_work_whatever_the_status(number: int):
    """A person who takes a release back does so."""
    aborted, deleted = world_with(mutant(number)), world_with(mutant(number))
    aborted.ask(Verb.ABORT)
    aborted.run(60)
    assert is_safe(aborted), aborted.trail[-8:]
    deleted.deleting_since = deleted.time
    deleted.run(60)
    assert deleted.gone
    assert is_safe(deleted), deleted.trail[-8:]


UNREADABLE = pytest.mark.parametrize(
    "judge",
    [
        pytest.param({"version": 9, "metrics": {"errors": 1}}, id="written by a newer operator"),
        pytest.param({"errors": {"fold": {"version": 2, "values": []}}}, id="fold.version 2"),
        pytest.param({"version": 2, "ratios": {"errors": {"until": "soon"}}}, id="edited by hand"),
        pytest.param([1, 2, 3], id="something else"),
    ],
)


@UNREADABLE
def test_a_burning_canary_with_unreadable_judge_state_is_rolled_back_by_its_metrics(judge: object):
    """The judge reads the range again from the release's start; a condition says so."""
    memory = world_with(STATUS | {"judge": judge})
    assert isinstance(memory.status.judge, UnreadableState)
    before = memory.status.weight
    memory.step()
    types = {one.type: one for one in memory.status.conditions}
    if memory.status.intent is Intent.ADVANCE:
        assert types["JudgeStateReadable"].reason == Reason.JUDGE_STATE_UNREADABLE
        assert memory.status.weight <= before
    memory.run(120)
    assert memory.status.phase is Phase.ROLLED_BACK
    assert memory.status.history[0].reason in {Reason.WORSE_THAN_STABLE, Reason.CANARY_OUTAGE, Reason.ABOVE_LIMIT}  # fmt: skip


def unreadable(
    version: SimulatedVersion, judge: object, intent: Intent = Intent.ADVANCE
) -> InMemoryWorld:
    """A release that has had traffic for a while, whose judge's state nobody can read."""
    memory = InMemoryWorld(versions={"v2": version})
    memory.run(20)
    memory.deploy("v2")
    while memory.status.judge is None or memory.status.intent is not intent:
        memory.step()
    broken = json.loads(memory.status.model_dump_json(by_alias=True)) | {"judge": judge}
    memory.status = read_status(broken)
    assert isinstance(memory.status.judge, UnreadableState)
    return memory


WORSE = {Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT}


@UNREADABLE
@pytest.mark.parametrize(
    ("version", "reasons"),
    [
        pytest.param(SimulatedVersion(crashes=True), {Reason.CRASH_LOOPING}, id="crash loop"),
        pytest.param(SimulatedVersion(errors=1.0), {Reason.CANARY_OUTAGE}, id="outage"),
        pytest.param(SimulatedVersion(errors=0.05), WORSE, id="5 % errors"),
    ],
)
def test_what_protects_runs_with_unreadable_judge_state(
    judge: object, version: SimulatedVersion, reasons: set[Reason]
) -> None:
    """The fault is found by the same rule as ever, and no weight is added until it is read again."""
    memory = unreadable(version, judge)
    memory.monitoring, weight = "down", memory.weight or 0
    memory.run(30)
    assert (memory.weight or 0) <= weight
    memory.monitoring = "up"
    memory.run(400, until=Phase.ROLLED_BACK)
    assert memory.status.history[0].reason in reasons, memory.trail[-8:]
    assert is_safe(memory)


@UNREADABLE
def test_pods_that_crash_are_found_while_nothing_can_be_read(judge: object) -> None:
    """Neither the state nor the metrics: the pods themselves are enough."""
    memory = unreadable(SimulatedVersion(crashes=True), judge)
    memory.monitoring = "down"
    memory.run(120, until=Phase.ROLLED_BACK)
    assert memory.status.history[0].reason is Reason.CRASH_LOOPING
    assert is_safe(memory)


@UNREADABLE
@pytest.mark.parametrize("monitoring", ["up", "silent", "down"])
def test_people_take_a_release_back_with_unreadable_judge_state(
    judge: object, monitoring: str
) -> None:
    """Abort and deletion need no metrics, and a rollback that has begun is carried to its end."""
    aborted, deleted = unreadable(SimulatedVersion(), judge), unreadable(SimulatedVersion(), judge)
    rolling = unreadable(SimulatedVersion(errors=0.9), judge, Intent.ROLL_BACK)
    aborted.monitoring = deleted.monitoring = rolling.monitoring = monitoring
    aborted.ask(Verb.ABORT)
    deleted.deleting_since = deleted.time
    for memory in (aborted, deleted, rolling):
        memory.run(60)
        assert is_safe(memory), memory.trail[-8:]
    assert aborted.status.history[0].reason is Reason.ABORTED
    assert rolling.status.phase is Phase.ROLLED_BACK
    assert deleted.gone


def test_a_good_release_with_unreadable_judge_state_catches_up_and_is_promoted():
    """It says so once to people, its weight does not rise meanwhile, and then it goes on."""
    memory = InMemoryWorld()
    memory.run(20)
    memory.deploy("v2")
    memory.run(60)
    broken = json.loads(memory.status.model_dump_json(by_alias=True)) | {"judge": {"version": 9}}
    memory.status, weight = read_status(broken), memory.status.weight
    memory.step()
    assert memory.status.reason is Reason.JUDGE_STATE_UNREADABLE
    assert memory.status.weight == weight
    assert [one.reason for one in memory.notices].count(Reason.JUDGE_STATE_UNREADABLE) == 1
    memory.run(600, until="Ready")
    assert memory.status.history[0].reason is Reason.PROMOTED
    assert "JudgeStateReadable" not in {one.type for one in memory.status.conditions}


def test_unknown_fields_reasons_and_verdicts_of_a_newer_operator_are_tolerated():
    """What is known of the status stays as it is."""
    newer = copy.deepcopy(STATUS)
    newer["invented"] = {"a": 1}
    newer["release"]["invented"] = 1
    newer["reason"] = newer["phase"] = newer["verdict"] = "Invented"
    newer["analysis"][0]["verdict"] = "Invented"
    found = read_status(newer)
    assert found.reason is Reason.UNKNOWN
    assert found.release == WORLD.status.release
    assert found.judge == WORLD.status.judge
    assert found.analysis[0].canary_total == WORLD.status.analysis[0].canary_total
