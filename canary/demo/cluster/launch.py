"""Runs a command that dies with its parent: `launch.py PARENT SIGNAL USER COMMAND…`.

It runs as a script (`python -I -S`) and imports the standard library only. A function between fork
and exec would do the same, but is unsafe in a process with threads. The death signal is set after
the change of user, because that change resets it (prctl(2)).
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, death_signal: str, user: str, *command: str) -> None:
    """Execute `command` as `user` (empty: no change); it gets `death_signal` if `parent` dies.

    `parent` is the id of the process that requested it; if that is gone already, return.
    """
    if user:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        return
    # Python ignores SIGPIPE, and the command would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606  # the command is ours, no shell in between


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        account = f" as {sys.argv[3]}" if sys.argv[3] else ""
        sys.exit(f"cannot start {sys.argv[4]}{account}: {error.strerror}")
