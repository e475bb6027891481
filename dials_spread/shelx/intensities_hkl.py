"""
Intensities as SHELX reads them: HKLF 4, that is 3I4, 2F8.2, I4.

A decimal point in the field overrules the two decimals of F8.2, so that values below 0.1
are written with five.

Classes:
    HklFile: the text, and the factor that intensities were multiplied by

Functions:
    write_hkl: make it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cctbx import miller

LARGEST = 99_999.0
"""What F8.2 can hold, with a blank in front at least."""

MOST_NEGATIVE = 9_999.0
SMALL = 0.1
"""Below, two decimals leave less than two digits, and five are written."""

SMALLEST_SIGMA = 0.00001
LARGEST_INDEX = 999


@dataclass(frozen=True)
class HklFile:
    """
    An .hkl file.

    Attributes:
        text: Its content.
        factor: Intensities and σ were multiplied by this.
        n: Number of reflections.
        n_floored: How many σ would have been 0.00000 and are 0.00001.
    """

    text: str
    factor: float
    n: int
    n_floored: int

    def as_dict(self) -> dict:
        """Figures alone."""
        return {"factor": self.factor, "n": self.n, "n_floored": self.n_floored}


def write_hkl(f_sq: miller.array) -> HklFile:
    """
    Write merged or unmerged intensities.

    The scale is such that the largest value fills the format, so that weak intensities keep
    as many digits as there are; SHELXL refines the scale anyway.

    Args:
        f_sq: Intensities with σ. What is not finite is left out.

    Raises:
        ValueError: There are none, no σ, or indices above 999.
    """
    if f_sq.sigmas() is None:
        raise ValueError(f"{f_sq.size()} intensities without σ: HKLF 4 needs both")
    I, sigma = (x.as_numpy_array() for x in (f_sq.data(), f_sq.sigmas()))
    index = f_sq.indices().as_vec3_double().as_numpy_array().round().astype(int)
    kept = np.isfinite(I) & np.isfinite(sigma) & (sigma > 0)
    I, sigma, index = I[kept], sigma[kept], index[kept]
    if not len(I):
        raise ValueError(
            f"none of {f_sq.size()} intensities is finite with a σ above 0"
        )
    if np.abs(index).max() > LARGEST_INDEX:
        raise ValueError(f"an index of {np.abs(index).max()} does not fit into HKLF 4")
    factor = _factor(I, sigma)
    I, sigma = I * factor, sigma * factor
    floored = sigma < SMALLEST_SIGMA
    sigma = np.where(floored, SMALLEST_SIGMA, sigma)
    lines = [
        f"{h:4d}{k:4d}{l:4d}{_field(x)}{_field(e)}{1:4d}"
        for (h, k, l), x, e in zip(index.tolist(), I.tolist(), sigma.tolist())
    ]
    lines.append(f"{0:4d}{0:4d}{0:4d}{0:8.2f}{0:8.2f}{0:4d}")
    return HklFile(
        "\n".join(lines) + "\n", factor, len(I), int(np.count_nonzero(floored))
    )


def _field(x: float) -> str:
    """A number in eight columns."""
    return f"{x:8.5f}" if 0 < abs(x) < SMALL else f"{x:8.2f}"


def _factor(I: np.ndarray, sigma: np.ndarray) -> float:
    """The largest factor of three digits for which all values fit."""
    room = [LARGEST / max(float(I.max()), float(sigma.max()))]
    if I.min() < 0:
        room.append(MOST_NEGATIVE / -float(I.min()))
    most = min(room)
    unit = 10.0 ** (np.floor(np.log10(most)) - 2)
    return float(np.floor(most / unit) * unit)
