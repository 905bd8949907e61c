"""Laws of the models: what is printed is read back, and every error is a sentence."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.api import (
    REASONS,
    Reason,
    Spec,
    format_duration,
    load_release,
    load_releases,
    parse_duration,
)

EXAMPLE = (Path(__file__).parents[2] / "docs/examples/auth.yaml").read_text("utf-8")
RELEASE = load_release(EXAMPLE, "auth.yaml")
DATA = RELEASE.model_dump(mode="json", by_alias=True, exclude={"status"}, exclude_none=True)


def test_a_spec_survives_its_way_through_json() -> None:
    """Spec → JSON → Spec is the same, with every default written out."""
    text = RELEASE.spec.model_dump_json(by_alias=True)
    assert Spec.model_validate_json(text) == RELEASE.spec
    assert '"duration":"2m"' in text


@given(st.integers(min_value=0, max_value=744 * 3_600_000))
def test_durations_are_read_back_as_printed(milliseconds: int) -> None:
    """Any duration, to the millisecond, prints to a text that is the same duration."""
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("1h30m", 5400.0, id="hours and minutes"),
        pytest.param("1.5h", 5400.0, id="half hours"),
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("0s", 0.0, id="none at all"),
        pytest.param(90, 90.0, id="a plain number is seconds"),
    ],
)
def test_durations_are_written_as_people_do(text: object, seconds: float) -> None:
    """The usual ways to write a duration are understood."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 s", "m", "1m1h", "-5s", "1d", "٣s", True, None, []])
def test_other_durations_are_refused(text: object) -> None:
    """What is no duration is not guessed at."""
    with pytest.raises(ValueError, match="a duration such as 30s, 2m or 1h30m"):
        parse_duration(text)


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a value."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(found for key, item in inner for found in paths(item, (*path, key)))]


def replaced(value: object, path: tuple[str | int, ...], new: object) -> object:
    """A copy of the value with something else at one place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


JUNK = st.sampled_from([None, True, -1, 10**30, 0.5, "", "Ä b", [], [[]], {}, {"x": 1}])
SENTENCE = re.compile(r".*\bexpected\b.*, found |this field is required|unknown field|.* has only ")


@given(st.sampled_from(paths(DATA)), JUNK)
def test_whatever_is_wrong_the_answer_is_a_sentence(
    path: tuple[str | int, ...], junk: object
) -> None:
    """Junk at any place gives sentences that say what is expected, never a library's own words."""
    loaded = load_releases(json.dumps(replaced(DATA, path, junk)), "x.yaml")
    for problem in loaded.problems:
        assert SENTENCE.match(problem.message), problem
        assert not re.search(r"[Ii]nput should|after validation|valid string", problem.message)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(content: bytes) -> None:
    """Any bytes at all give problems or releases, never an exception."""
    assert load_releases(content, "x.yaml").problems


@given(st.text(alphabet="ab:-{}[]&*#!|>'\"\n ,?%@<0", max_size=60))
def test_no_text_crashes_the_reader(content: str) -> None:
    """Any text of YAML's own characters gives problems, never an exception."""
    assert load_releases(content, "x.yaml").problems


def test_every_reason_has_its_sentence() -> None:
    """A reason that nobody can read about does not exist."""
    assert list(REASONS) == list(Reason)
    assert all(sentence.endswith(".") for sentence in (reason.info.sentence for reason in Reason))
