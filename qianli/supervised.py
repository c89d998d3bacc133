"""Start a program that must not outlive whoever started it.

Runs by path with a bare interpreter (`python -I -S supervised.py PARENT SIGNAL USER PROGRAM …`), changes
to USER (`-` keeps the user), asks the kernel for SIGNAL when the parent dies, and becomes PROGRAM.

`prctl(PR_SET_PDEATHSIG)` survives `execve` but not a change of user, hence the order. It cannot be set
safely between fork and exec from Python in a process with threads, hence this file.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def main(words: list[str]) -> None:
    """Become the program, or exit when the parent is already gone."""
    parent, death_signal, user, *command = words
    if user != "-":
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.environ["HOME"] = account.pw_dir
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        sys.exit("the parent died before this program started")
    os.execvp(command[0], command)  # noqa: S606  # becoming the given program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
