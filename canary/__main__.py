"""`python -m canary` is the program `canary`."""

from canary.cli.main import run

run()
