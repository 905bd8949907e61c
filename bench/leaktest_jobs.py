"""How `canary leaktest` decides where jobs hold connections: `python -m bench.leaktest_jobs`.

Simulated, at 250 requests/s with the default drains: jobs begin at random, and each holds a
connection for a random time, so floors of neighbouring drains are alike, which the evidence does
not allow for. The rules beside it (patience, more connections the more are in use at rest) do.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from canary.leaktest.evaluation import (
    Drain,
    LeakKind,
    LeakTestPolicy,
    Round,
    evaluate_rounds,
    plan_next_load,
)
from canary.leaktest.types import LeakTestTiming

RATE = 250.0
RUNS = 300
START = 0.6
"""Seconds until a load has begun."""
LOOKS = 9
POLICY, PACE = LeakTestPolicy(), LeakTestTiming()


@dataclass
class World:
    """A version with jobs at `job_rate`/s that hold a connection for `job_seconds` on average."""

    seed: int
    job_rate: float = 0.0
    job_seconds: float = 1.0
    leak: float = 0.0
    """Chance that a request loses a connection."""
    lost: int = 0
    time: float = 0.0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)  # noqa: S311 - reproducible, and no secret
        self._jobs: list[tuple[float, float]] = []
        self._next = self._draw.expovariate(self.job_rate) if self.job_rate else float("inf")

    def rest(self, seconds: float) -> float:
        """The floor of a drain."""
        begin, self.time = self.time, self.time + seconds
        while self._next <= self.time:
            end = self._next + self._draw.expovariate(1 / self.job_seconds)
            self._jobs.append((self._next, end))
            self._next += self._draw.expovariate(self.job_rate)
        looks = [begin + seconds * look / LOOKS for look in range(LOOKS + 1)]
        return self.lost + min(sum(a <= at < b for a, b in self._jobs) for at in looks)

    def load(self, count: int) -> None:
        """So many requests."""
        self.lost += sum(self._draw.random() < self.leak for _ in range(count))
        self.rest(count / RATE + START)


def ended(world: World) -> tuple[LeakKind, float]:
    """How a test ends, and after how many seconds."""
    world.rest(5 * world.job_seconds)
    begin, drain = world.time, PACE.drain
    rounds = [Round(Drain(0, world.rest(drain))) for _ in range(POLICY.idle)]
    sent: list[int] = []
    while world.time - begin < PACE.most:
        sent.append(plan_next_load(rounds, sent, POLICY, RATE))
        world.load(sent[-1])
        floor = world.rest(drain)
        rounds.append(Round(Drain(sum(sent), floor)))
        kind = evaluate_rounds(rounds, POLICY).kind
        if kind is LeakKind.LEAK:
            rounds[-1] = Round(Drain(sum(sent), min(floor, world.rest(PACE.patience))))
            kind = evaluate_rounds(rounds, POLICY).kind
            drain = min(2 * drain, PACE.patience)
        if kind is not LeakKind.UNDECIDED:
            return kind, world.time - begin
    return LeakKind.UNDECIDED, world.time - begin


def worlds() -> Iterator[tuple[str, float, float, float]]:
    """Name, jobs per second, seconds of each, leak."""
    yield "no jobs", 0.0, 1.0, 0.0
    yield "3 jobs at a time, 30 s each", 0.1, 30.0, 0.0
    yield "9 jobs at a time, 30 s each", 0.3, 30.0, 0.0
    yield "3 jobs at a time, 5 min each", 0.01, 300.0, 0.0
    yield "10 jobs at a time, 5 min each", 0.033, 300.0, 0.0
    yield "a leak of 1 in 2,000", 0.0, 1.0, 1 / 2000
    yield "a leak of 1 in 200", 0.0, 1.0, 1 / 200


if __name__ == "__main__":
    for name, rate, seconds, leak in worlds():
        ends = [ended(World(seed, rate, seconds, leak)) for seed in range(RUNS)]
        kinds = Counter(str(kind) for kind, _ in ends)
        median = sorted(time for _, time in ends)[RUNS // 2]
        print(f"{name:32} {dict(kinds)}, median {median:.0f} s", flush=True)
