"""Where the console scripts begin: so little that Ctrl-C during the imports shows no traceback."""

import sys


def run() -> None:
    """The program, or exit code 130."""
    try:
        from canary.cli.main import run as main  # noqa: PLC0415 - what takes time is inside the try
    except KeyboardInterrupt:
        sys.exit(130)
    main()


def complete() -> None:
    """`kubectl_complete-canary`, as kubectl calls it when somebody presses Tab.

    Words come as arguments, the last one unfinished; suggestions go out line by line, and `:4`
    says that no file names are wanted.
    """
    try:
        from canary.cli.completion import suggest  # noqa: PLC0415 - as above

        suggest(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
