"""Which beams interact, and how the rocking curves are sampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Limits of the angular step [rad]: finer is never needed below 2,600 Å, and coarser
# would miss reflections near the rotation axis of thin crystals.
STEP_LIMITS = (0.0003, 0.0022)


@dataclass(frozen=True)
class BeamSelection:
    """
    Which beams interact, and over which part of the rocking curve is integrated.

    Attributes:
        s_max: Largest excitation error of a beam that takes part [1/Å].
        s_window: Largest excitation error that is integrated [1/Å].
        g_max: Largest reciprocal-lattice vector of a beam [1/Å]; 1.2 times that of the
            data without it. With twice the beams merged amplitudes change by 0.4 %
            (docs/studies/simulation_convergence.rst).
        absorption: Imaginary potential over real potential.
        method: "chebyshev" or "diagonalisation"; the same numbers, the second slower.
        precision: "single" or "double", of Chebyshev's method. In single precision
            intensities are wrong by less than 1e-5 of the mean one.
        mosaicity: Standard deviation of the tilts of mosaic blocks that is averaged
            over [degrees]; see `mosaic`. It takes several times as long.
        step_factor: Angular steps, relative to the largest that samples the curves.
    """

    s_max: float = 0.012
    s_window: float = 0.01
    g_max: float | None = None
    absorption: float = 0.0
    method: str = "chebyshev"
    precision: str = "single"
    mosaicity: float = 0.0
    step_factor: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.s_window <= self.s_max:
            raise ValueError(
                "The integrated range of excitation errors must be positive and within "
                f"that of the beams: s_window={self.s_window}, s_max={self.s_max}."
            )
        for name in ("absorption", "mosaicity"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)} is negative.")
        if self.method not in ("chebyshev", "diagonalisation"):
            raise ValueError(f"Unknown method: {self.method}.")
        if self.precision not in ("single", "double"):
            raise ValueError(f"Unknown precision: {self.precision}.")
        if not 0 < self.step_factor <= 1:
            raise ValueError(
                f"step_factor={self.step_factor} is not above 0 and up to 1."
            )

    def taking_part(self, s: np.ndarray) -> np.ndarray:
        """
        Which beams take part in which orientation.

        Args:
            s: Excitation errors [1/Å], of shape (n, m).

        Returns:
            Booleans of shape (n, m).
        """
        return np.abs(s) <= self.s_max


def rotation_step(d_min: float, thickness: float, factor: float = 0.9) -> float:
    """
    The largest angular step that samples every rocking curve.

    A crystal of thickness t has no feature in s narrower than 1/t, and no excitation
    error changes faster than 1/d_min per radian: sampled closer than 1/t in s the sum
    over a rocking curve equals the integral.

    Args:
        d_min: Resolution limit [Å].
        thickness: The largest [Å].
        factor: The step relative to this limit.

    Returns:
        Step [rad].
    """
    return float(np.clip(factor * d_min / thickness, *STEP_LIMITS))
