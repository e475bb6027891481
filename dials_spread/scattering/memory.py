"""
How large a dynamical calculation would be, told before it is started.

Functions:
    check_memory: refuse what does not fit
    estimate_size: beams and bytes
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cctbx import uctbx

from dials_spread.scattering.beams import BeamSelection, rotation_step
from dials_spread.scattering.dynamical import DEFAULT_G_FACTOR
from dials_spread.scattering.scans import BLOCK
from dials_spread.scattering.structure_factors import MIN_D_SPACING

# Bytes for each element of the matrix of a block of orientations: it is gathered from
# complex coefficients with three indices, and copied in single precision.
BYTES_AN_ELEMENT = 64

# Bytes for each structure factor while they are computed, in cctbx and here.
BYTES_A_COEFFICIENT = 200


@dataclass(frozen=True)
class Size:
    """
    The size of a calculation.

    Attributes:
        beams: That interact in one block of orientations.
        coefficients: Structure factors of the potential.
        matrices: Bytes for the matrices of a block.
        potential: Bytes for the coefficients of the potential.
    """

    beams: int
    coefficients: int
    matrices: int
    potential: int

    @property
    def total(self) -> int:
        """Bytes of one process."""
        return self.matrices + self.potential


def estimate_size(
    cell: uctbx.unit_cell, d_min: float, thickness: float, selection: BeamSelection
) -> Size:
    """
    Estimate beams and memory of a block of orientations.

    Beams lie within s_max of the Ewald sphere, nearly a disc, which turns by the angle
    of a block; one reciprocal-lattice point has the volume 1/Ω.

    Args:
        cell: The unit cell.
        d_min: Resolution limit [Å].
        thickness: The largest [Å].
        selection: Beams.
    """
    g = max(selection.g_max or DEFAULT_G_FACTOR / d_min, 1 / d_min)
    turn = BLOCK * rotation_step(d_min, thickness, selection.step_factor)
    space = np.pi * g**2 * 2 * selection.s_max + 4 / 3 * g**3 * turn
    sphere = 4 / 3 * np.pi * g**3
    beams = cell.volume() * min(space, sphere)
    radius = min(2 * g, 1 / MIN_D_SPACING)
    coefficients = 4 / 3 * np.pi * radius**3 * cell.volume()
    table = np.prod(4 * g * np.array(cell.parameters()[:3]) + 1)
    return Size(
        beams=int(np.ceil(beams)),
        coefficients=int(np.ceil(coefficients)),
        matrices=int(BYTES_AN_ELEMENT * beams**2),
        potential=int(BYTES_A_COEFFICIENT * coefficients + 32 * table),
    )


def available_memory() -> int | None:
    """Bytes of memory that are free, or None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = dict(line.split(":") for line in lines)
        return 1024 * int(found["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    try:  # macOS says how much there is, not how much is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def check_memory(
    cell: uctbx.unit_cell,
    d_min: float,
    thickness: float,
    selection: BeamSelection,
    processes: int,
    free: int | None = None,
) -> Size:
    """
    Refuse a calculation that would not fit into memory.

    Args:
        cell: The unit cell.
        d_min: Resolution limit [Å].
        thickness: The largest [Å].
        selection: Beams.
        processes: That run at a time.
        free: Bytes; those of this machine by default.

    Returns:
        The size of one process.

    Raises:
        ValueError: It is too large. The message says how large.
    """
    size = estimate_size(cell, d_min, thickness, selection)
    free = available_memory() if free is None else free
    needed = size.total * processes
    if free is not None and needed > free:
        raise ValueError(
            f"A cell of {cell.volume():,.0f} Å³ to d_min={d_min:g} Å needs matrices of "
            f"{size.beams:,} beams and a potential of {size.coefficients:,} "
            f"coefficients: {_gigabytes(size.total)} for each of {processes} processes, "
            f"and {_gigabytes(free)} are free. Raise d_min, lower nproc or "
            "beams.s_max, or take wave=kinematic."
        )
    return size


def _gigabytes(n: float) -> str:
    return f"{n / 1e9:.2g} GB" if n < 1e11 else f"{n / 1e9:,.0f} GB"
