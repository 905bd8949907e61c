"""A tiny queue consumer: takes tasks from a table in PostgreSQL and counts what it did.

`python worker.py --dsn DSN --queue NAME` consumes; with `--produce RATE` it adds tasks instead, so
many per second. `--failures SHARE` of the tasks fail. Counters and readiness: port 8080, /metrics.
"""

import argparse
import random
from threading import Event

import psycopg
from prometheus_client import Counter, start_http_server

TASKS = Counter("tasks", "Tasks that were taken.", ["result"])
PAUSE = Event()
CREATE = "CREATE TABLE IF NOT EXISTS tasks (id bigserial PRIMARY KEY, queue text NOT NULL)"
ADD = "INSERT INTO tasks (queue) SELECT %s FROM generate_series(1, %s)"
TAKE = """
DELETE FROM tasks WHERE id = (
  SELECT id FROM tasks WHERE queue = %s ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1
)
"""


def main() -> None:
    """Until it is told to stop; a task that was begun is finished or stays in the queue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--queue", required=True)
    parser.add_argument("--label", default="v1", help="makes another version of the same worker")
    parser.add_argument("--produce", type=int, default=0, help="tasks per second to add")
    parser.add_argument("--failures", type=float, default=0.0, help="share of tasks that fail")
    chosen = parser.parse_args()
    with psycopg.connect(chosen.dsn, autocommit=True) as queue:
        if chosen.produce:
            produce(queue, chosen.queue, chosen.produce)
        start_http_server(8080)
        for result in ("done", "failed"):
            TASKS.labels(result)
        while True:
            taken = queue.execute(TAKE, [chosen.queue]).rowcount
            if not taken:
                PAUSE.wait(0.05)
                continue
            PAUSE.wait(0.02)
            failed = random.random() < chosen.failures  # noqa: S311 - no secret
            TASKS.labels("failed" if failed else "done").inc()


def produce(queue: psycopg.Connection, name: str, rate: int) -> None:
    """Adds tasks for ever."""
    queue.execute(CREATE)
    while True:
        queue.execute(ADD, [name, rate])
        PAUSE.wait(1.0)


if __name__ == "__main__":
    main()
