"""Delivers one message with Apprise in its own process: `python -m canary.notify.apprise_process`.

Apprise opens its own connections, with a different client for each kind of service. The address in
the Secret decides where to, and it belongs to whoever wrote the release. So an audit hook, which
CPython calls before each of these operations, whichever library asks for it, allows:

- connections and datagrams only to an IP address that the rules allow. A name is resolved before,
  by the client; what is checked here is what it connects to;
- files only of the Python installation: an Apprise address may name a file with a key;
- no other program.

The process has no environment of proxies and no `.netrc`, and the sender limits its time. Its input
is a JSON document, its exit code the result.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Iterable
from typing import Any

from canary.errors import PermanentError
from canary.http.addresses import AddressRules, parse_networks

NOT_DELIVERED, UNKNOWN_ADDRESS, FORBIDDEN = 3, 4, 5
"""Exit codes. With FORBIDDEN the last line of the output says why."""
_MEMORY = 128 << 20
"""Bytes for data: three times what a delivery needs."""
_SENDS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class _Forbidden(PermissionError):  # noqa: N818  # plugins expect an OSError
    """An operation is not allowed."""


def build_hook(
    rules: AddressRules, folders: Iterable[str], refused: list[str]
) -> Callable[[str, tuple[Any, ...]], None]:
    """Return the audit hook; it adds a reason to `refused` for each address that it refuses."""
    readable = tuple(os.path.realpath(folder) + os.sep for folder in folders if folder)

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event in _SENDS and values[1] is not None:  # None: the socket is connected already
            try:
                rules.check(str(values[1][0]))
            except PermanentError as error:
                refused.append(str(error))
                raise _Forbidden from None
            except ValueError:
                refused.append("its address is not an IP address")
                raise _Forbidden from None
        elif event == "subprocess.Popen" or (
            event == "open" and not _is_below(values[0], readable)
        ):
            raise _Forbidden

    return hook


def _is_below(file: str | bytes | int, folders: tuple[str, ...]) -> bool:
    """Return whether a file to be opened is in one of the folders, or open already."""
    return isinstance(file, int) or os.path.realpath(os.fsdecode(file)).startswith(folders)


def main() -> int:
    """Read the message and its address from the standard input; return the exit code."""
    order = json.load(sys.stdin)
    import apprise  # noqa: PLC0415  # an extra

    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    rules = AddressRules(
        parse_networks("refused", order["refused"]), parse_networks("allowed", order["allowed"])
    )
    refused: list[str] = []
    sys.addaudithook(build_hook(rules, (sys.prefix, sys.base_prefix, *sys.path), refused))
    asset = apprise.AppriseAsset(
        app_id="canary", async_mode=False, secure_logging=True, http_redirects=False
    )
    receiver = apprise.Apprise(asset=asset)
    if not receiver.add(order["url"]):
        return UNKNOWN_ADDRESS
    tone = apprise.NotifyType(order["tone"])
    if receiver.notify(order["body"], title=order["title"], notify_type=tone):
        return 0
    sys.stdout.write(f"\n{refused[0] if refused else ''}\n")
    return FORBIDDEN if refused else NOT_DELIVERED


if __name__ == "__main__":
    sys.exit(main())
