"""
Memory that was freed, given back to the system.

The C library of Linux keeps what is freed in pieces of less than 32 MB, such as the columns
of single crystals, to use it again. Arrays of all observations do not fit into these pieces
and would come on top: of 600 crystals it kept 350 bytes an observation, as many as were in
use.

Functions:
    give_back: at the end of a stage that has let go of much
"""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Give freed memory back, where the C library does so when it is asked to."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # macOS, musl
        return
    trim(0)
