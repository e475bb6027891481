"""
Where the installed programs begin: before DIALS is imported, which takes seconds.

Ctrl-C in these seconds is told in one line, too.
"""

from __future__ import annotations

import importlib
import os
import sys

from dials_spread.interruption import install


def _run(command: str) -> None:
    install(os.path.basename(sys.argv[0]).removesuffix(".py"))
    importlib.import_module(f"dials_spread.command_line.{command}").run()


def compare_images() -> None:
    """Begin dials.compare_images."""
    _run("compare_images")


def compare_placement() -> None:
    """Begin dials.compare_placement."""
    _run("compare_placement")


def import_pets() -> None:
    """Begin dials.import_pets."""
    _run("import_pets")


def ml_correct() -> None:
    """Begin dials.ml_correct."""
    _run("ml_correct")


def multiplex_corrected() -> None:
    """Begin xia2.multiplex_corrected."""
    _run("multiplex_corrected")


def simulate_ed() -> None:
    """Begin dials.simulate_ed."""
    _run("simulate_ed")
