"""CanaryReleases that are wrong in every way that a person or a program may think of, the same in every run."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from canary.manifests.crd import build_crd

EXAMPLE = Path(__file__).parents[2] / "docs/examples/auth.yaml"
GOOD: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text("utf-8"))
STRINGS = (
    "", " ", "\0", "\ud800", "\x1b[31mred\x1b[0m", "\u202eevil", "a\nb", "a" * 300, "a" * 70_000,
    "../../etc/passwd", "{{ namespace }}", "${HOME}", "%s%n", "'; DROP TABLE x; --", "null", "NaN",
    "-1", "1e999", "0x10", "30", "30 s", "1h-1m", "∞", "١", "é", "💥", "*", "&a", "!!python/none",
    'x"} or up{a="', ") or vector(1) #", "(a+)+$", "[", "(?P<x>", "http://", "http://[::1", "a.b..c",
    "http://user:secret@a/", "file:///etc/passwd", "http://169.254.169.254/latest", "-", "A", "_a",
)  # fmt: skip
"""As names, durations, expressions, addresses and texts."""
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 101, 2**31, 2**63, 2**70, 0.1, -0.0, 1e300, float("nan"),
    float("inf"), [], [[]], {}, {"a": 1}, [None], [{}], {"": {}},
)  # fmt: skip


def _paths(node: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every node below the root."""
    items = node.items() if isinstance(node, dict) else ()
    items = enumerate(node) if isinstance(node, list) else items
    for key, below in items:
        yield (*at, key)
        yield from _paths(below, (*at, key))


def _schema_fields(schema: Any) -> Iterator[str]:
    """The names of all fields of the CustomResourceDefinition, at any depth."""
    for name, below in (schema.get("properties") or {}).items():
        yield name
        yield from _schema_fields(below)
    yield from _schema_fields(schema["items"]) if "items" in schema else ()


_SPEC = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
FIELDS = sorted(set(_schema_fields(_SPEC)))
PATHS = list(_paths(GOOD["spec"], ("spec",)))


def wrong_resource(number: int) -> dict[str, Any]:
    """The example with a few nodes removed, replaced, added or copied to another place."""
    chance = random.Random(number)  # noqa: S311 - no secrets
    found: dict[str, Any] = copy.deepcopy(GOOD)
    found["metadata"]["name"] = f"wrong-{number}"
    for _ in range(chance.choice((1, 1, 2, 5))):
        *way, last = chance.choice(PATHS)
        node: Any = found
        try:
            for key in way:
                node = node[key]
            _mutate(node, last, chance)
        except (LookupError, TypeError, AttributeError):
            continue  # an earlier mutation took the way there
    return found


def _mutate(node: Any, last: Any, chance: random.Random) -> None:
    junk = copy.deepcopy(chance.choice((chance.choice(STRINGS), chance.choice(VALUES))))
    match chance.randrange(6):
        case 0:
            del node[last]
        case 1 if isinstance(node, dict):
            node[chance.choice(FIELDS)] = junk
        case 2 if isinstance(node, dict):
            node[chance.choice(STRINGS)] = junk
        case 3 if isinstance(node, list):
            node.extend(copy.deepcopy(node) * chance.choice((1, 40)))
        case 4:
            node[last] = copy.deepcopy(_at(GOOD, chance.choice(PATHS)))
        case _:
            node[last] = junk


def _at(node: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        node = node[key]
    return node
