"""The CanaryRelease of a file, for commands that apply its policy to something else."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from canary.errors import UsageError

if TYPE_CHECKING:
    from canary.api import CanaryRelease


def policy_of(file: str) -> "CanaryRelease":
    """The one CanaryRelease of a file (`-`: standard input).

    Raises:
        UsageError: no such file, or something in it is wrong; says all of it, as `canary lint`.
    """
    from canary.api import load_release  # noqa: PLC0415 - keeps --help quick
    from canary.api.documents import MAX_BYTES  # noqa: PLC0415 - as above
    from canary.cli.lint import unknown_presets  # noqa: PLC0415 - as above

    name = "stdin" if file == "-" else file
    try:
        if file == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{name}: a CanaryRelease in YAML is expected, found: {error.strerror or error}"
        ) from error
    return load_release(content, name, rules=(unknown_presets,))
