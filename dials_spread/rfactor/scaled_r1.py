"""
R1 with a scale and an overall B, since neither a wrong scale nor an isotropic falloff
keeps a structure from refining.

Functions:
    scaled_r1: of one set of amplitudes
    least_r1: of many that differ in weights
    r1_by_shell: by resolution, on the scale and B of all
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from dials_spread.rfactor.r1 import grouped_r1
from dials_spread.rfactor.shells import resolution_shells

GRID_STEP = 1.0
GRID = np.arange(-12.0, 12.0 + GRID_STEP, GRID_STEP)
"""Overall B tried first [Å²]."""

SECTIONS = 12
"""Golden sections: B to 0.01 Å², where R1 is flat."""

N_SHELLS = 10


@dataclass(frozen=True)
class ScaledR1:
    """
    Agreement of amplitudes with a structure.

    Attributes:
        r1: Σ|k exp(-B s²/4) F_o - F_c| / ΣF_c, s = 1/d.
        scale: k.
        B: [Å²], that the amplitudes lack.
        n: Reflections.
    """

    r1: float
    scale: float
    B: float
    n: int

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return asdict(self)


def scaled_r1(f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray) -> ScaledR1:
    """
    Give R1 with the scale and overall B that make it least.

    Args:
        f_o: Shape (u,), nan where missing.
        f_c: Shape (u,), nan where missing.
        d_star_sq: Shape (u,) [Å⁻²].

    Returns:
        nan where fewer than three reflections have both.
    """
    kept = np.isfinite(f_o) & np.isfinite(f_c)
    if kept.sum() < 3:
        nan = float("nan")
        return ScaledR1(nan, nan, nan, int(kept.sum()))
    r1, k, B = least_r1(f_o[None, kept], f_c[kept], d_star_sq[kept])
    return ScaledR1(float(r1[0]), float(k[0]), float(B[0]), int(kept.sum()))


def _r1_at(
    f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray, B: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give R1 and the best scale of each row of f_o with a given B, shape (rows,)."""
    f = f_o * np.exp(-0.25 * B[:, None] * d_star_sq)
    row = np.repeat(np.arange(len(f)), len(f_c))
    return grouped_r1(f.ravel(), np.tile(f_c, len(f)), row, len(f))


def least_r1(
    f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Give the least R1 of each row of f_o, with the scale and B that reach it.

    Args:
        f_o: Shape (rows, u), the same data with other weights; finite.
        f_c: Shape (u,).
        d_star_sq: Shape (u,) [Å⁻²].

    Returns:
        R1, scale and B [Å²], each of shape (rows,).

    The first row is searched on a grid of B; the others, the same data with other
    weights, have their least value near it. Golden section from there (Kiefer (1953),
    Proc. Am. Math. Soc. 4, 502).
    """
    grid = [_r1_at(f_o[:1], f_c, d_star_sq, np.array([B]))[0][0] for B in GRID]
    best = GRID[int(np.argmin(grid))]
    low, high = (np.full(len(f_o), best + side * GRID_STEP) for side in (-1, 1))
    golden = 0.5 * (np.sqrt(5) - 1)
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = (_r1_at(f_o, f_c, d_star_sq, B)[0] for B in (left, right))
    for _ in range(SECTIONS):
        down = at_left < at_right
        low, high = np.where(down, low, left), np.where(down, right, high)
        fresh = np.where(
            down, high - golden * (high - low), low + golden * (high - low)
        )
        found = _r1_at(f_o, f_c, d_star_sq, fresh)[0]
        left, right, at_left, at_right = (
            np.where(down, fresh, right),
            np.where(down, left, fresh),
            np.where(down, found, at_right),
            np.where(down, at_left, found),
        )
    B = 0.5 * (low + high)
    r1, k = _r1_at(f_o, f_c, d_star_sq, B)
    return r1, k, B


def r1_by_shell(
    f_o: np.ndarray, f_c: np.ndarray, d_star_sq: np.ndarray, found: ScaledR1
) -> list[dict]:
    """
    Give R1 in resolution shells, on the scale and B of all reflections.

    Args:
        f_o, f_c, d_star_sq: As for scaled_r1.
        found: Of all.
    """
    kept = np.isfinite(f_o) & np.isfinite(f_c)
    f_o, f_c, d_star_sq = f_o[kept], f_c[kept], d_star_sq[kept]
    shells = resolution_shells(1 / np.sqrt(d_star_sq), N_SHELLS)
    on_scale = found.scale * f_o * np.exp(-0.25 * found.B * d_star_sq)
    rows = []
    for k, (d_max, d_min) in enumerate(zip(shells.d_max, shells.d_min)):
        own = shells.shell == k
        r1 = np.abs(on_scale[own] - f_c[own]).sum() / f_c[own].sum()
        rows.append(
            {"d_max": float(d_max), "d_min": float(d_min), "n": int(own.sum()),
             "r1": float(r1)}
        )  # fmt: skip
    return rows
