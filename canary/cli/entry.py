"""Where the console scripts begin: so little that Ctrl-C during the imports shows no traceback."""

import sys


def run() -> None:
    """The program, or exit code 130."""
    try:
        from canary.cli.main import run as main  # noqa: PLC0415 - what takes time is inside the try
    except KeyboardInterrupt:
        sys.exit(130)
    main()
