"""Foreign text: every parser takes 1 MiB of the worst in linear time, and repeats none of it."""

import subprocess
import sys

import pytest

from tests.hostile.parsers import PARSERS

LONGEST_MESSAGE = 3000


@pytest.mark.parametrize("parser", PARSERS)
def test_a_mebibyte_of_any_garbage_takes_no_parser_long_and_is_not_repeated(parser: str):
    """The child is ended by the kernel when it uses more CPU than all texts can need."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.parsers", parser],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    assert int(done.stdout) < LONGEST_MESSAGE
