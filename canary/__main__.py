"""`python -m canary` is the program `canary`."""

from canary.cli.entry import run

run()
