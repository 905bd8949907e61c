"""Entry points of the console scripts, so small that Ctrl-C during imports prints no traceback."""

import sys


def run() -> None:
    """Run the program; exit with code 130 if interrupted during imports."""
    try:
        from canary.cli.main import run as main  # noqa: PLC0415 - slow imports are inside the try
    except KeyboardInterrupt:
        sys.exit(130)
    main()


def complete() -> None:
    """Run `kubectl_complete-canary`, which kubectl calls for completion.

    The arguments are the words of the command line, the last one unfinished. Prints one completion
    per line, then `:4`, which disables completion of file names.
    """
    try:
        from canary.cli.completion import print_suggestions  # noqa: PLC0415 - as above

        print_suggestions(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
