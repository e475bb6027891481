"""
Dynamical intensities of observations of one crystal, and what each |F| does to them.

Every observation is integrated over its own rocking curve, among the beams that matter to
it (local_beams), and reported as the |F|² that would give the intensity kinematically, as
in scattering.rocking. Against that simulation of all beams of an orientation amplitudes
differ by 2 to 3 % (32 beams; docs/with_structure.rst), at a fraction of the time, and every
derivative comes with it.

Classes:
    LocalSettings: how many beams, how finely sampled
    LocalCrystal: the crossings of one crystal

Functions:
    local_crystal: from an experiment and its table
    tilted: with the beam tilted towards the rotation axis
    simulate: intensities of one shape, and their derivatives
    simulate_curves: intensities against thickness
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import scipy.sparse
from scipy.spatial.transform import Rotation

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.scattering.scans import MARGIN, RotationScan
from dials_spread.thickness.crossings import find_crossings, measured_scan
from dials_spread.thickness.curves import Shape, ThicknessCurves
from dials_spread.threads import run_blocks
from dials_spread.with_structure.data_potential import DataPotential
from dials_spread.with_structure.local_beams import (
    beams_of,
    couplings,
    excitation,
    rotated,
)
from dials_spread.with_structure.local_waves import (
    derivative,
    exit_weights,
    for_slices,
    kinematic_part,
    propagate,
    slice_operator,
)

ROUNDS = 4
"""Newton steps to the Ewald sphere."""

LARGEST_STEP = 0.05
"""Of one of them [rad]."""

BLOCK = 100
"""Observations that a thread takes at a time."""


@dataclass(frozen=True)
class LocalSettings:
    """
    How an observation is simulated.

    Attributes:
        n_beams: That take part, at most.
        s_max: Their largest excitation error [1/Å].
        window: Excitation error up to which a rocking curve is integrated [1/Å].
        spacing: Of its angles, in units of 1/(thickness × rate): below 1 the sum is the
            integral.
        fewest: Angles at least.
        slice_thickness: [Å].
    """

    n_beams: int = 32
    s_max: float = 0.012
    window: float = 0.006
    spacing: float = 0.9
    fewest: int = 8
    slice_thickness: float = 35.0


@dataclass(frozen=True)
class LocalCrystal:
    """
    Crossings of the Ewald sphere in one crystal.

    Attributes:
        scan: Its geometry.
        miller_index: Shape (p, 3), in the indices of the data.
        phi: Shape (p,), rotation at which each is on the sphere [rad].
        setting: Shape (p, 3, 3), UB at that moment [1/Å].
        rate: Shape (p,), change of the excitation error [1/(Å rad)].
        of_row: Shape (rows,), the crossing of each row of the table; -1 for none.
    """

    scan: RotationScan
    miller_index: np.ndarray
    phi: np.ndarray
    setting: np.ndarray
    rate: np.ndarray
    of_row: np.ndarray

    def __len__(self) -> int:
        return len(self.phi)


def local_crystal(
    number: int, experiment: Experiment, table: flex.reflection_table, d_min: float
) -> LocalCrystal:
    """
    Find the crossings of a measured crystal, and the moment of each.

    Args:
        number: Of the crystal, for messages.
        experiment, table: The crystal and its rows.
        d_min: Resolution limit [Å].

    Raises:
        ValueError: It is a still, or was not measured with electrons.
    """
    scan = measured_scan(experiment, number)
    found = find_crossings(experiment, table, scan, d_min)
    phi = found.phi.copy()
    setting = np.array([scan.setting(float(x)) for x in phi]).reshape(-1, 3, 3)
    return _crossed(scan, found.miller_index, phi, setting, found.of_row)


def tilted(crystal: LocalCrystal, tilt: np.ndarray) -> LocalCrystal:
    """
    Tilt the beam towards the rotation axis, as seen from the crystal.

    Args:
        crystal: The crystal.
        tilt: Shape (p,), at each crossing [rad].

    Returns:
        The same crossings, at the moments when they come then.
    """
    scan = crystal.scan
    across = np.cross(scan.axis, scan.s0)
    across /= np.linalg.norm(across)
    # In the crystal's frame, where the beam turns the other way.
    about = Rotation.from_rotvec(-crystal.phi[:, None] * scan.axis).apply(across)
    turn = Rotation.from_rotvec(-np.asarray(tilt)[:, None] * about).as_matrix()
    setting = turn @ crystal.setting
    return _crossed(
        scan, crystal.miller_index, crystal.phi.copy(), setting, crystal.of_row
    )  # fmt: skip


def _crossed(
    scan: RotationScan,
    miller_index: np.ndarray,
    phi: np.ndarray,
    setting: np.ndarray,
    of_row: np.ndarray,
) -> LocalCrystal:
    """Find the moment of each crossing, from one nearby, by Newton's method."""
    g = np.einsum("nij,nj->ni", setting, miller_index.astype(float))
    K = np.linalg.norm(scan.s0)
    for _ in range(ROUNDS):
        k = scan.wave_vectors(phi)
        s = -np.sum(g * k, axis=1) / K - np.sum(g * g, axis=1) / (2 * K)
        slope = np.sum(g * np.cross(scan.axis, k), axis=1) / K
        step = s / np.where(np.abs(slope) > 1e-3, slope, np.inf)
        phi = phi - np.clip(step, -LARGEST_STEP, LARGEST_STEP)
    k = scan.wave_vectors(phi)
    rate = np.abs(np.sum(g * np.cross(scan.axis, k), axis=1)) / K
    return LocalCrystal(scan, miller_index, phi, setting, rate, of_row)


@nb.njit(cache=True, nogil=True)
def _angles(phi, rate, thickness, limits, window, spacing, fewest):
    """Give the angles of a rocking curve; none where it is not met in the scan."""
    if not (rate > 0 and thickness > 0):
        return np.empty(0)
    first = max(phi - window / rate, limits[0])
    last = min(phi + window / rate, limits[1])
    if not last > first:
        return np.empty(0)
    m = max(fewest, int(np.ceil((last - first) * rate * thickness / spacing)) + 1)
    return first + (last - first) * np.arange(m) / (m - 1)


@nb.njit(cache=True, nogil=True)
def _gather(gamma, U, number, scratch, columns, values):
    """Sum the derivative over the elements of each unique reflection; return how many."""
    found = 0
    for j in range(len(U)):
        for l in range(len(U)):
            c, size = number[j, l], abs(U[j, l])
            if c < 0 or size <= 0:
                continue
            if scratch[c] == 0.0:
                columns[found] = c
                found += 1
                scratch[c] = 1e-300
            scratch[c] += (gamma[j, l] * U[j, l]).real / size
    for x in range(found):
        values[x] = scratch[columns[x]]
        scratch[columns[x]] = 0.0
    return found


@nb.njit(cache=True, nogil=True)
def _simulate_some(
    first, stop, crossings, crystal, potential, numbers, curve_step, totals, curves,
    jacobian,
):  # fmt: skip
    """Simulate the crossings from first to stop; what is found is put in place."""
    hkl, phi, setting, rate, low, high = crossings
    axis, s0, limits = crystal
    table, unique, middle, candidates, lines = potential
    n_beams, s_max, window, spacing, fewest, thin = numbers
    columns, values, counts, scratch = jacobian
    K, own = np.sqrt(np.sum(s0 * s0)), scratch.copy()
    rooms = np.empty((2, 0), np.complex64)  # for waves: new ones take their time
    for i in range(first, stop):
        angles = _angles(phi[i], rate[i], high[i], limits, window, spacing, int(fewest))
        if not len(angles):
            continue
        k = rotated(s0, axis, -phi[i])
        rows = beams_of(
            hkl[i], setting[i], k, candidates, lines, s_max, int(n_beams), table,
            middle,
        )  # fmt: skip
        if not len(rows):
            continue
        beams = candidates[rows]
        s = excitation(beams, setting[i], s0, axis, angles)
        U, number = couplings(beams, table, unique, middle)
        n = (
            curves.shape[2] - 1
            if curve_step > 0
            else max(2, int(np.ceil(high[i] / thin)))
        )
        step = curve_step if curve_step > 0 else high[i] / n
        there = excitation(beams, setting[i], s0, axis, phi[i : i + 1])
        scale = for_slices(there[0], step)
        B = slice_operator(U * scale, np.pi * step / K)
        P = np.exp((2j * np.pi * step) * s).astype(np.complex64)
        size = (n + 1) * P.size
        if size > rooms.shape[1]:
            rooms = np.empty((2, size), np.complex64)
        wave = rooms[0, :size].reshape((n + 1, *P.shape))
        propagate(B, P, wave)
        exits = exit_weights(low[i], high[i], step, n)
        single = kinematic_part(s[:, 1], step, n, K)
        for q in range(n + 1):
            z = wave[q, :, 1]
            intensity = np.sum(z.real * z.real + z.imag * z.imag)
            totals[0, i] += exits[q] * intensity
            totals[1, i] += exits[q] * single[q]
            if curve_step > 0:
                curves[0, i, q], curves[1, i, q] = intensity, single[q]
        if len(counts):
            weight = np.ones((len(angles), 1), np.float32) * exits.astype(np.float32)
            mu = rooms[1, : n * P.size].reshape((n, *P.shape))
            gamma = derivative(B, P, wave, weight, 1, np.pi * step / K, mu)
            counts[i] = _gather(gamma * scale, U, number, own, columns[i], values[i])


def _run(
    crystal: LocalCrystal,
    potential: DataPotential,
    rows: np.ndarray,
    limits: tuple[np.ndarray, np.ndarray],
    settings: LocalSettings,
    curve: tuple[float, int],
    gradient: bool,
    nproc: int | None,
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """Simulate some crossings; curve is step and number of slices, or nought."""
    n, u = len(rows), potential.n_unique
    low, high = (np.ascontiguousarray(np.nan_to_num(x), dtype=float) for x in limits)
    scan = crystal.scan
    crossings = (
        crystal.miller_index[rows].astype(np.int64), crystal.phi[rows],
        np.ascontiguousarray(crystal.setting[rows]), crystal.rate[rows], low, high,
    )  # fmt: skip
    ends = np.array([scan.limits[0] - MARGIN, scan.limits[1] + MARGIN])
    geometry = (scan.axis.astype(float), scan.s0.astype(float), ends)
    s = settings
    numbers = (
        float(s.n_beams), s.s_max, s.window, s.spacing, float(s.fewest),
        s.slice_thickness,
    )  # fmt: skip
    totals = np.zeros((2, n))
    curves = np.zeros((2, n if curve[1] else 1, curve[1] + 1))
    width = min(s.n_beams * (s.n_beams - 1), u) if gradient else 1
    shape = (n if gradient else 1, width)
    jacobian = (
        np.zeros(shape, np.int32), np.zeros(shape), np.zeros(n if gradient else 0, int),
        np.zeros(u),
    )  # fmt: skip

    def some(first: int, stop: int) -> None:
        _simulate_some(
            first, stop, crossings, geometry, potential.arrays, numbers, curve[0],
            totals, curves, jacobian,
        )  # fmt: skip

    run_blocks(some, n, BLOCK, nproc)
    return totals, curves, jacobian


def simulate(
    crystal: LocalCrystal,
    potential: DataPotential,
    shape: Shape,
    rows: np.ndarray,
    settings: LocalSettings,
    gradient: bool = True,
    nproc: int | None = None,
) -> tuple[np.ndarray, scipy.sparse.csr_matrix | None]:
    """
    Simulate crossings of one crystal.

    Args:
        crystal: The crystal.
        potential: What its beams meet.
        shape: How thick it is.
        rows: Numbers of crossings, shape (n,).
        settings: See there.
        gradient: Also give derivatives.
        nproc: Threads; all cores by default.

    Returns:
        The |F|² that would give the intensities kinematically [Å²], shape (n,), nan
        where a rocking curve was not met; and its derivatives with respect to |F| of
        every unique reflection [Å], shape (n, u).
    """
    path = shape.path(crystal.phi[rows])
    limits = path * (1 - shape.within), path * (1 + shape.within)
    totals, _, jacobian = _run(
        crystal, potential, rows, limits, settings, (0.0, 0), gradient, nproc
    )
    met = totals[1] > 0
    single = np.where(met, totals[1], 1.0)
    intensity = np.where(met, totals[0] / single * potential.F_squared, np.nan)
    if not gradient:
        return intensity, None
    columns, values, counts, _ = jacobian
    kept = np.arange(columns.shape[1]) < counts[:, None]
    row = np.repeat(np.arange(len(rows)), counts)
    found = values[kept] / single[row] * np.sqrt(potential.F_squared)
    size = (len(rows), potential.n_unique)
    return intensity, scipy.sparse.csr_matrix((found, (row, columns[kept])), size)


def simulate_curves(
    crystal: LocalCrystal,
    potential: DataPotential,
    rows: np.ndarray,
    longest: float,
    step: float,
    settings: LocalSettings,
    nproc: int | None = None,
) -> ThicknessCurves:
    """
    Simulate crossings for all thicknesses up to the longest.

    Args:
        crystal, potential, rows, settings, nproc: As for simulate.
        longest: Greatest thickness [Å].
        step: Of thicknesses [Å].
    """
    n_slices = int(np.ceil(longest / step))
    most = np.full(len(rows), n_slices * step)
    _, curves, _ = _run(
        crystal, potential, rows, (most, most), settings, (step, n_slices), False, nproc
    )
    grid = step * np.arange(1, n_slices + 1)
    dynamical, kinematic = curves[:, :, 1:]
    return ThicknessCurves(
        grid, crystal.phi[rows], dynamical * potential.F_squared, kinematic
    )
