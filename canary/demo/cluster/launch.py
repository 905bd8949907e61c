"""Becomes a command whose life is tied to its parent's: `launch.py PARENT SIGNAL USER COMMAND…`.

It is run as a script (`python -I -S`), so it imports the standard library only. A function run
between fork and exec would do the same, but is not safe in a process that has threads; and the
tie must be made after the change of user, because that change cuts it (prctl(2)).
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, death_signal: str, user: str, *command: str) -> None:
    """Become `command` as `user` (empty: stay who we are); `death_signal` arrives if `parent` dies.

    `parent` is the process id of the one who asked; when it is already gone, nothing is started.
    """
    if user:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        return
    # Python ignores SIGPIPE for itself, and what is ignored stays so in the command.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606  # the command is ours, no shell in between


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        account = f" as {sys.argv[3]}" if sys.argv[3] else ""
        sys.exit(f"cannot start {sys.argv[4]}{account}: {error.strerror}")
