"""
To be imported first by the fork server of multiprocessing, and by nobody else.

The import lets the kernel kill the server when the process that started it dies: while it
imports what workers need, which takes seconds, it would not see that. The same holds for
its children, from their first moment.
"""

from __future__ import annotations

import os

from dials_spread.processes import PARENT, die_with_parent

_forking = os.getpid()


def _remember() -> None:
    global _forking
    _forking = os.getpid()


def _end_with_server() -> None:
    # Asked for too late, nothing is sent.
    if die_with_parent() and os.getppid() != _forking:
        os._exit(1)


if die_with_parent() and os.environ.get(PARENT, "") not in ("", str(os.getppid())):
    os._exit(1)  # whoever started this has died
os.register_at_fork(before=_remember, after_in_child=_end_with_server)
