"""
How data were measured, and the Lorentz factor of precession.

While the beam precesses by a semi-angle φ about the axis of the microscope, the excitation
error of a reflection goes to and fro between the ends of a range,
``s = s_c - g_t sin φ cos ω``, where g_t is the part of g across the axis, ω the azimuth and
s_c the excitation error about the axis. With all azimuths for the same time, the intensity
on one frame is |F|² times the time for which s is near zero, which is proportional to
``1 / (g_t sin φ √(1 - x²))`` with ``x = s_c / (g_t sin φ)``. In a zone-axis pattern, where
s_c = -g²/2K, this is the factor ``g √(1 - (g/2R)²)`` with R = K sin φ, of Vincent & Midgley
(1994), Ultramicroscopy 53, 271, and Gjønnes (1997), Ultramicroscopy 69, 1. It holds for
each frame. What is summed over frames that cover all of the range has the factor of the
rotation instead: the integral of 1/√(1 - x²) over x is the same for all.

Functions:
    measurement_of: by the user, the tables and the experiments
    precession_rate: what intensities of frames are multiplied by
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.valid_input.columns import PRECESSION
from dials_spread.versions import is_still

logger = logging.getLogger("dials.spread.measurement")

KINDS = ("auto", "rotation", "stepwise", "precession", "stills")
"""How data can have been measured; auto is found from experiments and tables."""

LARGEST_X = 0.95
"""Excitation errors over the end of the range count as no more than this: there a factor
goes to zero, and a crystal, whose reflections have a width, no longer follows it."""


@dataclass(frozen=True)
class Measurement:
    """
    How the data of all crystals were measured.

    Attributes:
        kind: One of KINDS, not "auto".
        n_stills: Crystals that did not rotate.
        angles: Of precession, the semi-angle of each row of each crystal [rad], or one of
            all rows; empty otherwise.
    """

    kind: str
    n_stills: int = 0
    angles: tuple[np.ndarray | float, ...] = ()

    def as_dict(self) -> dict:
        """Give what JSON holds; the angle [°] is None without precession."""
        return {"kind": self.kind, "precession_angle": self.mean_angle}

    @property
    def mean_angle(self) -> float | None:
        """The mean semi-angle [°]; None without precession."""
        if not self.angles:
            return None
        rows = [np.ravel(a) for a in self.angles if np.size(a)]
        return float(np.degrees(np.mean(np.concatenate(rows))))


def measurement_of(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    experiment: str = "auto",
    precession_angle: float | None = None,
) -> Measurement:
    """
    Say how data were measured.

    Args:
        experiments: One a crystal.
        tables: The reflections of each, in the same order; empty ones have no say.
        experiment: One of KINDS. "auto" goes by the column `pets.precession_angle`, and by
            whether the crystals rotated.
        precession_angle: Semi-angle [°]; None takes that of the tables.

    Raises:
        ValueError: What is said contradicts itself or the data, or an angle is missing.
    """
    if experiment not in KINDS:
        raise ValueError(f"experiment={experiment} is none of {', '.join(KINDS)}")
    if precession_angle is not None and experiment not in ("auto", "precession"):
        raise ValueError(
            f"precession_angle={precession_angle:g} and experiment={experiment} "
            "contradict each other: give one of them, or experiment=precession"
        )
    used = [k for k, table in enumerate(tables) if len(table)]
    n_stills = sum(is_still(experiments[k]) for k in used)
    listed = [k for k in used if PRECESSION in tables[k]]
    if experiment == "auto":
        experiment = "stills" if n_stills else "rotation"
        if listed or precession_angle is not None:
            experiment = "precession"
    if experiment == "precession" and (n_stills == 0 or listed):
        angles = _angles(tables, listed, len(used), precession_angle)
        return Measurement(experiment, n_stills, angles)
    if experiment != "stills" and n_stills:
        raise ValueError(
            f"experiment={experiment}, and {n_stills} of {len(used)} crystals did not "
            "rotate (no scan, or images of zero width)"
        )
    return Measurement(experiment, n_stills)


def _angles(
    tables: Sequence[flex.reflection_table],
    listed: Sequence[int],
    n_used: int,
    given: float | None,
) -> tuple[np.ndarray | float, ...]:
    """Give the semi-angles [rad] of the rows of each table."""
    if given is not None:
        _warn_of_others(tables, listed, given)
        return (float(np.radians(given)),) * len(tables)
    if not listed:
        raise ValueError(
            "experiment=precession needs the semi-angle of the precession, and the "
            "reflections have no column pets.precession_angle; give precession_angle= in "
            "degrees"
        )
    if len(listed) < n_used:
        raise ValueError(
            f"{len(listed)} of {n_used} crystals were measured with precession (column "
            "pets.precession_angle), the others were not, or their angle is missing. "
            "Correct them apart"
        )
    found = [
        np.radians(table[PRECESSION].as_numpy_array())
        if PRECESSION in table
        else np.zeros(0)
        for table in tables
    ]
    rows = np.concatenate(found)
    bad = int((~(rows > 0)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {len(rows)} reflections were measured with precession, and their "
            "semi-angle is not known (column pets.precession_angle); give "
            "precession_angle= in degrees"
        )
    return tuple(found)


def precession_rate(
    d_star: np.ndarray,
    excitation: np.ndarray,
    angle: np.ndarray,
    wavelength: float,
) -> np.ndarray:
    """
    Give what intensities on frames with precession are multiplied by.

    Args:
        d_star: Shape (n,), 1/d [Å⁻¹].
        excitation: Shape (n,), excitation error about the axis of the precession [Å⁻¹],
            positive inside of the Ewald sphere.
        angle: Shape (n,), semi-angle [rad].
        wavelength: [Å].

    Returns:
        g_t sin φ √(1 - x²), shape (n,) [Å⁻¹]: π times the reciprocal of the part of the
        time, for each Å⁻¹, for which the reflection is excited.
    """
    along = excitation + d_star**2 * wavelength / 2
    across = np.sqrt(np.maximum(d_star**2 - along**2, 0)) * np.sin(angle)
    centre = along * np.cos(angle) - d_star**2 * wavelength / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.clip(np.nan_to_num(centre / across), -LARGEST_X, LARGEST_X)
    return across * np.sqrt(1 - x**2)


def _warn_of_others(
    tables: Sequence[flex.reflection_table], listed: Sequence[int], given: float
) -> None:
    """Say that the tables have other semi-angles than the one that was given [°]."""
    rows = [tables[k][PRECESSION].as_numpy_array() for k in listed]
    if not rows or np.allclose(np.concatenate(rows), given, atol=0.01):
        return
    logger.warning(
        "precession_angle=%g is taken instead of that of the reflections, %.3g°, in the "
        "column pets.precession_angle",
        given,
        np.mean(np.concatenate(rows)),
    )
