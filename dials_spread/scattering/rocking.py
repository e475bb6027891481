"""
Dynamical intensities integrated over the rotation, for one crystal.

The intensity of a reflection is ∫ I_g |ds_g/dφ| dφ over |s_g| < s_window, the factor
being the Lorentz factor. It is reported as the |F|² that would give the same integral
kinematically: both integrals are summed over the same angles, so that what the window
and the ends of the scan cut off cancels to first order, and a thin crystal gives its
kinematic |F|² exactly.
"""

from __future__ import annotations

import numpy as np

from dials_spread.scattering.beams import BeamSelection, rotation_step
from dials_spread.scattering.bloch import (
    bloch_amplitudes,
    excitation_errors,
    kinematic_intensity,
)
from dials_spread.scattering.chebyshev import beam_intensities
from dials_spread.scattering.potential import (
    differences,
    mean_potential,
    without_zero_imaginary_part,
)
from dials_spread.scattering.scans import RotationScan, angle_blocks
from dials_spread.threads import run_blocks

__all__ = [
    "BeamSelection",
    "RotationScan",
    "angle_blocks",
    "integrated_intensities",
    "rocking_integrals",
    "rotation_step",
    "rows_of",
]


def integrated_intensities(
    table: np.ndarray,
    candidates: np.ndarray,
    scan: RotationScan,
    hkl: np.ndarray,
    phi: np.ndarray,
    thicknesses: np.ndarray,
    selection: BeamSelection,
    step: float,
    slab: bool = False,
) -> np.ndarray:
    """
    Integrate all reflections of a crystal over its scan.

    Args:
        thicknesses: Thicknesses over which to average, with equal areas of the crystal
            [Å], of shape (p,).
        table, candidates, scan, hkl, phi, selection, step, slab: As in
            `rocking_integrals`.

    Returns:
        The |U_g|² that would give these intensities kinematically [1/Å⁴], of shape
        (n,); NaN where the window was never met.
    """
    dynamical, kinematic = (
        integrals.mean(axis=1)
        for integrals in rocking_integrals(
            table, candidates, scan, hkl, phi, thicknesses, selection, step, slab
        )
    )
    nothing = np.full(len(hkl), np.nan)
    return np.divide(dynamical, kinematic, out=nothing, where=kinematic > 0)


def rocking_integrals(
    table: np.ndarray,
    candidates: np.ndarray,
    scan: RotationScan,
    hkl: np.ndarray,
    phi: np.ndarray,
    thicknesses: np.ndarray,
    selection: BeamSelection,
    step: float,
    slab: bool = False,
    slab_angle: float = 0.0,
    nproc: int | None = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """
    Sum all rocking curves of a crystal for many thicknesses in one pass.

    Neither the number of threads nor that of thicknesses changes the result.

    Args:
        table: U_g as from `potential_table`.
        candidates: Indices of all beams that may take part, the origin included, of
            shape (c, 3).
        scan: Orientation and scan.
        hkl: Indices of the reflections, of shape (n, 3), all among the candidates.
        phi: Angles at which they pass the Ewald sphere [rad], of shape (n,).
        thicknesses: [Å], of shape (p,).
        selection: Beams, window and method.
        step: Largest angular step [rad].
        slab: The crystal is a plate, so that the path through it is
            t / cos(φ - slab_angle).
        slab_angle: Where the beam is normal to the plate [rad].
        nproc: Threads; all cores without it.

    Returns:
        Σ I_g |ds_g/dφ| with multiple scattering, and the same of single scattering for
        |U_g|² = 1 [1/Å⁴], both of shape (n, p). Their ratio is the |U_g|² that would
        give this intensity kinematically.
    """
    table = _as_needed(table, selection)
    rows = rows_of(candidates, hkl)
    side = _sides(scan, hkl, phi)
    blocks = angle_blocks(scan.limits, step)
    parts: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def fill(first: int, stop: int) -> None:
        for i in range(first, stop):
            path = np.asarray(thicknesses, dtype=float)
            path = path[:, None] / np.cos(blocks[i] - slab_angle) if slab else path
            parts[i] = _block_integrals(
                table, candidates, scan, rows, side, blocks[i], path, selection
            )

    run_blocks(fill, len(blocks), 1, nproc)
    totals = np.zeros((2, len(hkl), len(thicknesses)))
    for _, (targets, sums) in sorted(parts.items()):
        totals[:, targets] += sums
    return totals[0], totals[1]


def _as_needed(table: np.ndarray, selection: BeamSelection) -> np.ndarray:
    """The table in the kind of number that the method works with."""
    table = without_zero_imaginary_part(table)
    if selection.method == "chebyshev" and selection.precision == "single":
        return table.astype(np.complex64 if np.iscomplexobj(table) else np.float32)
    return table


def _sides(scan: RotationScan, hkl: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Whether reflections enter or leave the Ewald sphere, ±1, of shape (n,)."""
    normal = np.cross(scan.axis, scan.wave_vectors(np.asarray(phi)))
    return np.sign(np.sum(hkl @ scan.A.T * normal, axis=1))


def rows_of(candidates: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    """
    Where indices stand in a list.

    Raises:
        ValueError: One of them is not in it.
    """
    low = np.min(candidates, axis=0)
    shape = np.max(candidates, axis=0) - low + 1
    lookup = np.full(shape, -1)
    lookup[tuple((candidates - low).T)] = np.arange(len(candidates))
    inside = np.all((hkl >= low) & (hkl < low + shape), axis=1)
    rows = np.full(len(hkl), -1)
    rows[inside] = lookup[tuple((hkl[inside] - low).T)]
    if np.any(rows < 0):
        unknown = tuple(hkl[np.argmin(rows)].tolist())
        raise ValueError(f"Reflection {unknown} is not among the beams.")
    return rows


def _block_integrals(
    table: np.ndarray,
    candidates: np.ndarray,
    scan: RotationScan,
    rows: np.ndarray,
    side: np.ndarray,
    angles: np.ndarray,
    path: np.ndarray,
    selection: BeamSelection,
) -> tuple[np.ndarray, np.ndarray]:
    """
    What a block of orientations adds to the integrals.

    Args:
        rows: Of the reflections among the candidates, of shape (n,).
        side: On which side of the Ewald sphere they come, ±1, of shape (n,).
        angles: [rad], of shape (m,).
        path: Thicknesses [Å], of shape (p,) or (p, m).

    Returns:
        The reflections that are met, of shape (r,), and their dynamical and kinematic
        sums, of shape (2, r, p).
    """
    K = float(np.linalg.norm(scan.s0))
    used, s, active = beams_taking_part(candidates, scan, angles, selection)
    places = np.full(len(candidates), -1)
    places[used] = np.arange(len(used))
    targets = np.flatnonzero(places[rows] >= 0)
    own = places[rows[targets]]
    within = np.abs(s) < selection.s_window
    # Of the two crossings of a reflection, each row takes the side it belongs to.
    g = candidates[rows[targets]] @ scan.setting(float(angles.mean())).T
    rates = g @ np.cross(scan.axis, scan.wave_vectors(angles)).T * side[targets, None]
    weight = np.where(within[own], rates, 0.0).clip(0.0)
    met = np.any(weight > 0, axis=1)
    targets, own, weight = targets[met], own[met], weight[met]
    if not len(targets):
        return targets, np.zeros((2, 0, len(path)))
    dynamical = _intensities(
        table, candidates[used], s, K, path, active, own, selection
    )
    columns = path[:, None, None] if path.ndim == 1 else path[:, None, :]
    kinematic = kinematic_intensity(s[own], columns, K)
    sums = [np.einsum("prm,rm->rp", x, weight) for x in (dynamical, kinematic)]
    return targets, np.array(sums)


def beams_taking_part(
    candidates: np.ndarray,
    scan: RotationScan,
    angles: np.ndarray,
    selection: BeamSelection,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    The beams that take part in some of the orientations of a block.

    Args:
        candidates: Indices of all beams, of shape (c, 3).
        scan: Orientation and scan.
        angles: [rad], of shape (m,), within a few degrees.
        selection: Says which take part.

    Returns:
        Their rows, of shape (n,), their excitation errors [1/Å] and whether each takes
        part in each orientation, both of shape (n, m).
    """
    middle = angles[len(angles) // 2 : len(angles) // 2 + 1]
    g = candidates @ scan.setting(angles.mean()).T
    # No excitation error changes faster than |g| per radian.
    reach = np.max(np.abs(angles - middle)) * np.sqrt(np.einsum("ij,ij->i", g, g))
    s = excitation_errors(g, scan.wave_vectors(middle))[:, 0]
    near = np.flatnonzero(np.abs(s) <= selection.s_max + 1.05 * reach + 1e-12)
    s = scan.excitation_errors(candidates[near], angles)
    active = selection.taking_part(s)
    some = np.any(active, axis=1)
    return near[some], s[some], active[some]


def _intensities(
    table: np.ndarray,
    beams: np.ndarray,
    s: np.ndarray,
    K: float,
    path: np.ndarray,
    active: np.ndarray,
    rows: np.ndarray,
    selection: BeamSelection,
) -> np.ndarray:
    """
    Intensities of some of the beams.

    Args:
        beams: Indices, of shape (n, 3).
        s: Excitation errors [1/Å], of shape (n, m).
        path: Thicknesses [Å], of shape (p,) or (p, m).
        active: Which beams take part in which orientation, of shape (n, m).
        rows: The beams wanted, of shape (r,).

    Returns:
        Of shape (p, r, m), zero for beams that take no part.
    """
    coupling = differences(table, beams)
    origin = int(np.flatnonzero(~np.any(beams, axis=1))[0])
    mean = mean_potential(table)
    if selection.method == "chebyshev":
        return beam_intensities(
            coupling, s, K, path, active, rows, selection.absorption, mean, origin,
            selection.precision,
        )  # fmt: skip
    result = np.zeros((len(path), *s.shape))
    for column in range(s.shape[1]):
        on = active[:, column]
        psi = bloch_amplitudes(
            coupling[np.ix_(on, on)],
            s[on, column],
            K,
            path if path.ndim == 1 else path[:, column],
            selection.absorption,
            mean,
            origin=int(np.count_nonzero(on[:origin])),
        )
        result[:, on, column] = np.abs(psi) ** 2
    return result[:, rows]
