"""
How the crystal lay on each frame, and which frames make one scan.

Functions:
    base_orientation: U and B of the crystal at zero tilt
    frame_settings: the setting matrix of each frame
    onto_zone_axes: the same, turned by the last hundredths of a degree
    split_runs: frames to runs of even steps
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from dials_spread.orientation import angle_between

LARGEST_DEVIATION = 1.0
"""In a run no tilt is further from that of even steps [°]."""

EMPTY = 20
"""In a run there are at most so many places without a frame for each that has one."""


@dataclass(frozen=True)
class TiltRun:
    """
    Frames that follow each other in about even steps, with places left free in gaps.

    Attributes:
        frames: Shape (n,), positions in the arrays of the file.
        places: Shape (n,), increasing from 0: where each frame stands in the even steps.
        start: Tilt α of place 0 [°].
        step: From place to place [°], negative where the tilt decreases.
        deviation: Largest difference between α and that of the place [°].
        omega: Azimuth of the tilt axis [°], the median of the frames.
    """

    frames: np.ndarray
    places: np.ndarray
    start: float
    step: float
    deviation: float
    omega: float


def base_orientation(ub: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """
    Give the rotation nearest to UB B⁻¹.

    Args:
        ub: Shape (3, 3) [Å⁻¹].
        basis: Shape (3, 3) [Å⁻¹], B of the cell that is to be used.

    Returns:
        Shape (3, 3), by singular values.
    """
    u, _, vt = np.linalg.svd(ub @ np.linalg.inv(basis))
    return u @ vt


def frame_settings(
    a_matrix: np.ndarray, alpha: np.ndarray, beta: np.ndarray, omega: np.ndarray
) -> np.ndarray:
    """
    Give what takes indices to reciprocal vectors in the laboratory.

    Args:
        a_matrix: Shape (3, 3) [Å⁻¹], at zero tilt.
        alpha: Shape (n,) [°].
        beta: Shape (n,) [°].
        omega: Shape (n,) [°].

    Returns:
        Shape (n, 3, 3) [Å⁻¹]: Rz(ω) Rx(α) Ry(β) A.
    """
    angles = np.stack([omega, alpha, beta], axis=1)
    turned = Rotation.from_euler("ZXY", angles, degrees=True).as_matrix()
    return turned @ a_matrix


def onto_zone_axes(
    settings: np.ndarray, uvw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Turn each frame the shortest way until its zone axis is along +z, at the source.

    Angles are given to a thousandth of a degree and matrices to five digits; the zone
    axes say best where the beam was.

    Args:
        settings: Shape (n, 3, 3) [Å⁻¹].
        uvw: Shape (n, 3).

    Returns:
        Setting matrices, shape (n, 3, 3), and by how much each was turned [°], shape
        (n,).
    """
    axis = np.einsum("nji,nj->ni", np.linalg.inv(settings), uvw)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    source = np.array([0.0, 0.0, 1.0])
    angle = angle_between(axis, np.broadcast_to(source, axis.shape))
    about = np.cross(axis, source)
    length = np.linalg.norm(about, axis=1, keepdims=True)
    about = np.divide(about, length, out=np.zeros_like(about), where=length > 0)
    turns = Rotation.from_rotvec(about * np.radians(angle)[:, None]).as_matrix()
    return turns @ settings, angle


def split_runs(
    alpha: np.ndarray,
    omega: np.ndarray,
    tolerance: float = LARGEST_DEVIATION,
    lone_step: float = 1.0,
) -> list[TiltRun]:
    """
    Split frames, in their order, into runs of about even steps.

    A scan of DIALS has even steps, and one crystal should stay one scan: what is compared
    between crystals would otherwise be one crystal with itself. Gaps are therefore left
    as images without reflections, and small differences go into the orientation of the
    crystal, which may vary along a scan. A new run begins where the tilt turns back or
    stays, and where it is further than the tolerance from even steps.

    Args:
        alpha: Shape (n,) [°].
        omega: Shape (n,) [°].
        tolerance: [°].
        lone_step: Step of a run of one frame [°].

    Returns:
        The runs, in order.
    """
    sign = np.sign(np.diff(alpha))
    runs, first = [], 0
    while first < len(alpha):
        last = first
        while (
            last + 1 < len(alpha)
            and sign[last] != 0
            and sign[last] == sign[min(first, len(sign) - 1)]
        ):
            last += 1
        runs += _even(np.arange(first, last + 1), alpha, omega, tolerance, lone_step)
        first = last + 1
    return runs


def _even(
    frames: np.ndarray,
    alpha: np.ndarray,
    omega: np.ndarray,
    tolerance: float,
    lone_step: float,
) -> list[TiltRun]:
    """Make one run of frames of increasing or decreasing tilt, or several."""
    axis = float(np.median(omega[frames]))
    if len(frames) == 1:
        alone = float(alpha[frames[0]])
        return [TiltRun(frames, np.zeros(1, dtype=int), alone, lone_step, 0.0, axis)]
    tilt = alpha[frames]
    for places in _candidates(tilt):
        if places[-1] > EMPTY * len(frames):
            continue
        step, start = np.polyfit(places, tilt, 1)
        deviation = float(np.abs(start + step * places - tilt).max())
        if deviation <= tolerance:
            return [TiltRun(frames, places, float(start), float(step), deviation, axis)]
    steps = np.abs(np.diff(tilt))
    if steps.max() > EMPTY * np.median(steps):
        cut = int(np.argmax(steps)) + 1
    else:
        cut = _where_to_cut(np.arange(len(tilt)), tilt)
    return [
        run
        for part in (frames[:cut], frames[cut:])
        for run in _even(part, alpha, omega, tolerance, lone_step)
    ]


def _candidates(tilt: np.ndarray) -> list[np.ndarray]:
    """Give places for frames: one after the other but in gaps, and those of small steps."""
    steps = np.abs(np.diff(tilt))
    jumps = np.maximum(np.round(steps / np.median(steps)), 1).astype(int)
    wanted = np.round(np.abs(tilt - tilt[0]) / np.quantile(steps, 0.1)).astype(int)
    order = np.arange(len(tilt))
    # Increasing by 1 at least, and else where they should be.
    fine = np.maximum.accumulate(wanted - order) + order
    return [np.concatenate([[0], np.cumsum(jumps)]), fine]


def _where_to_cut(places: np.ndarray, tilt: np.ndarray) -> int:
    """Give where two straight lines fit best: the step changes there."""

    def misfit(part: slice) -> float:
        if part.stop - part.start < 3:
            return 0.0
        p, t = places[part], tilt[part]
        return float(np.sum((np.polyval(np.polyfit(p, t, 1), p) - t) ** 2))

    n = len(tilt)
    return min(
        range(1, n), key=lambda k: (misfit(slice(0, k)) + misfit(slice(k, n)), k)
    )
