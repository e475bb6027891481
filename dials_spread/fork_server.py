"""
To be imported first by the fork server of multiprocessing, and by nobody else.

The import lets the kernel kill the server when the process that started it dies: while it
imports what workers need, which takes seconds, it would not see that.
"""

from __future__ import annotations

from dials_spread.processes import die_with_parent

die_with_parent()
