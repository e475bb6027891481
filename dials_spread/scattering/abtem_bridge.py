"""
The same crystal in abTEM: Bloch waves and multislice.

abTEM (Madsen & Susi (2021), Open Research Europe 1, 24) is an optional extra, for checks
of the simulation here, and for who wants its potentials. It is imported where it is used.
With ``parametrization=None`` it is given the structure factors of this package, so that
nothing but the solution differs; with "lobato", "kirkland" or "peng" it makes its own,
from isotropic displacements.

Vectors are in abTEM's frame: the electrons travel along +z, and a general crystal is
turned into it by an orientation matrix.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from cctbx import adptbx, uctbx, xray

from dials_spread.scattering.electrons import relativistic_mass_ratio, wavelength_of
from dials_spread.scattering.potential import indices_within, potential_table


def import_abtem() -> ModuleType:
    """
    The module abtem, in double precision.

    Raises:
        ImportError: It is not installed, in one line that says what to do.
    """
    try:
        import abtem
        import abtem.bloch
    except ImportError as error:
        raise ImportError(
            f"abTEM cannot be imported ({error}); it is an optional extra: "
            "pip install dials_spread[abtem]"
        ) from None
    abtem.config.set({"precision": "float64"})
    return abtem


def atoms_of(structure: xray.structure) -> tuple[Any, np.ndarray, np.ndarray]:
    """
    All atoms of the cell, from cctbx: ASE does not read all space groups' settings.

    Args:
        structure: The crystal structure.

    Returns:
        ase.Atoms, the isotropic displacements [Å] (standard deviations along a line),
        and the occupancies, both of shape (number of atoms,).
    """
    from ase import Atoms

    cell = structure.unit_cell()
    atoms = structure.expand_to_p1(sites_mod_positive=True).scatterers()
    u_iso = [
        adptbx.u_star_as_u_iso(cell, atom.u_star)
        if atom.flags.use_u_aniso()
        else atom.u_iso
        for atom in atoms
    ]
    model = Atoms(
        numbers=[_atomic_number(atom) for atom in atoms],
        scaled_positions=[atom.site for atom in atoms],
        cell=_lattice_vectors(cell),
        pbc=True,
    )
    sigma = np.sqrt(np.clip(u_iso, 0.0, None))
    return model, sigma, np.array([atom.occupancy for atom in atoms])


def orientation_matrix(A: np.ndarray, k: np.ndarray, cell: uctbx.unit_cell):
    """
    The rotation from the cell's standard frame (a along x) to a beam along +z.

    Args:
        A: Setting matrix UB [1/Å], of shape (3, 3).
        k: Direction in which electrons travel, in the frame of A, of shape (3,).
        cell: The cell.

    Returns:
        Rotation matrix of shape (3, 3), for `bloch_intensities`.
    """
    B = np.linalg.inv(_lattice_vectors(cell))
    U = A @ np.linalg.inv(B)
    z = np.asarray(k, dtype=float) / np.linalg.norm(k)
    x = np.cross(z, np.eye(3)[np.argmin(np.abs(z))])
    x /= np.linalg.norm(x)
    return np.array([x, np.cross(z, x), z]) @ U


def bloch_intensities(
    structure: xray.structure,
    orientation: np.ndarray,
    energy: float,
    thicknesses: np.ndarray,
    s_max: float,
    g_max: float,
    parametrization: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """
    abTEM's Bloch waves.

    Args:
        structure: The crystal structure.
        orientation: Rotation from the cell's standard frame, of shape (3, 3).
        energy: Of the electrons [eV].
        thicknesses: [Å], of shape (p,).
        s_max, g_max: Limits of excitation errors and of beams [1/Å].
        parametrization: Of abTEM's form factors; None for this package's.

    Returns:
        Indices of the beams, of shape (n, 3), and intensities of shape (p, n).

    Raises:
        ImportError: abTEM is not installed.
    """
    abtem = import_abtem()
    waves = abtem.bloch.BlochWaves(
        structure_factor=structure_factors_for(
            structure, energy, g_max, parametrization
        ),
        energy=energy,
        sg_max=s_max,
        g_max=g_max,
        orientation_matrix=orientation,
        centering="P",
    )
    patterns = waves.calculate_diffraction_patterns(
        thicknesses=[float(t) for t in thicknesses], lazy=False
    )
    return np.asarray(waves.hkl), np.asarray(patterns.array)


def structure_factors_for(
    structure: xray.structure,
    energy: float,
    g_max: float,
    parametrization: str | None = None,
) -> Any:
    """
    abTEM's structure factors, F / Ω [1/Å²], for beams within g_max.

    Releases differ in whether arrays hold V_g or its conjugate, and whether the matrix of
    Bloch waves made of them holds V_{g-h} or its conjugate, which is the enantiomorph:
    both are asked for, and conjugates put in where they are wanted.

    Args:
        As in `bloch_intensities`.

    Returns:
        abtem.bloch.dynamical.StructureFactorArray
    """
    abtem = import_abtem()
    factory = abtem.bloch.StructureFactor
    atoms, sigma, occupancy = atoms_of(structure)
    if parametrization:
        array = factory(
            atoms,
            g_max=2 * g_max,
            parametrization=parametrization,
            thermal_sigma=sigma,
            occupancy=occupancy,
            cutoff="hard",
            centering="P",
        ).build(lazy=False)
    else:
        array = _own_structure_factors(structure, energy, atoms.cell, g_max)
    if _matrix_is_conjugate():
        array = type(array)(np.conj(array.array), array.hkl, array.cell, array.g_max)
    return array


def multislice_intensities(
    structure: xray.structure,
    energy: float,
    n_cells: int,
    g_max: float = 2.0,
    slice_thickness: float = 0.5,
    tilt: tuple[float, float] = (0.0, 0.0),
    parametrization: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """
    abTEM's multislice, along c of a rectangular cell.

    Args:
        structure: The crystal structure, its angles 90°.
        energy: Of the electrons [eV].
        n_cells: Thickness in cells.
        g_max: Limit of the beams [1/Å]; the potential holds twice as much.
        slice_thickness: At most [Å].
        tilt: Small tilt of the beam about y and x [mrad].
        parametrization: Of abTEM's form factors; None for this package's.

    Returns:
        Indices (h, k, 0) of the beams within g_max, of shape (n, 3), and intensities of
        shape (n,).

    Raises:
        ImportError: abTEM is not installed.
        ValueError: The cell is not rectangular.
    """
    abtem = import_abtem()
    parameters = structure.unit_cell().parameters()
    if not np.allclose(parameters[3:], 90.0):
        raise ValueError(
            "Multislice needs a rectangular cell, but its angles are "
            f"{parameters[3:]}°: use Bloch waves."
        )
    factors = structure_factors_for(structure, energy, g_max, parametrization)
    if _matrix_is_conjugate():  # which potentials are not
        factors = type(factors)(
            np.conj(factors.array), factors.hkl, factors.cell, factors.g_max
        )
    # abTEM keeps two thirds of the frequencies of a grid against aliasing.
    gpts = tuple(int(np.ceil(3.0 * 2.0 * g_max * edge)) for edge in parameters[:2])
    potential = factors.get_projected_potential(
        slice_thickness=slice_thickness, gpts=gpts
    ).compute()
    wave = abtem.PlaneWave(energy=energy, tilt=tilt)
    end = wave.multislice(potential.tile((1, 1, n_cells)), lazy=False)
    amplitudes = np.fft.fft2(np.asarray(end.array).squeeze()) / np.prod(gpts)
    hkl = indices_within(structure.unit_cell(), g_max)
    hkl = hkl[hkl[:, 2] == 0]
    return hkl, np.abs(amplitudes[hkl[:, 0], hkl[:, 1]]) ** 2


def _own_structure_factors(
    structure: xray.structure, energy: float, cell: Any, g_max: float
) -> Any:
    """This package's structure factors as abTEM holds them."""
    abtem = import_abtem()
    wavelength = wavelength_of(energy)
    table = potential_table(structure, wavelength, g_max)
    limits = (np.array(table.shape) - 1) // 2
    hkl = abtem.bloch.utils.make_hkl_grid(cell, 2 * g_max)
    inside = np.all(np.abs(hkl) <= limits, axis=1)
    values = np.zeros(len(hkl), dtype=complex)
    values[inside] = table[tuple((hkl[inside] + limits).T)]
    values *= np.pi / relativistic_mass_ratio(wavelength)
    if _arrays_are_conjugate():
        values = np.conj(values)
    return abtem.bloch.dynamical.StructureFactorArray(values, hkl, cell, 2 * g_max)


def _atom_at_a_quarter() -> Any:
    """abTEM's structure factors of an atom at a/4: -i times those at the origin."""
    abtem = import_abtem()
    from ase import Atoms

    atom = Atoms("C", scaled_positions=[(0.25, 0, 0)], cell=[5, 5, 5], pbc=True)
    return abtem.bloch.StructureFactor(atom, g_max=0.5, centering="P")


@lru_cache(maxsize=1)
def _arrays_are_conjugate() -> bool:
    """
    Whether this release holds conjugates of V_g, by asking it.

    Since 1.0.11 it does: its structure factors have exp(+2πi g·r).
    """
    array = _atom_at_a_quarter().build(lazy=False)
    values, hkl = np.asarray(array.array), np.asarray(array.hkl).tolist()
    return bool(values[hkl.index([1, 0, 0])].imag > 0)


@lru_cache(maxsize=1)
def _matrix_is_conjugate() -> bool:
    """Whether this release puts V_{h-g} where V_{g-h} belongs, by asking it."""
    waves = import_abtem().bloch.BlochWaves(
        _atom_at_a_quarter(),
        energy=200e3,
        sg_max=0.1,
        g_max=0.25,
    )
    matrix = np.asarray(waves.calculate_structure_matrix(lazy=False))
    hkl = waves.hkl.tolist()
    return bool(matrix[hkl.index([1, 0, 0]), hkl.index([0, 0, 0])].imag > 0)


def _atomic_number(scatterer: Any) -> int:
    from ase.data import atomic_numbers

    return atomic_numbers[scatterer.element_symbol()]


def _lattice_vectors(cell: uctbx.unit_cell) -> np.ndarray:
    """Basis vectors as rows, a along x [Å], of shape (3, 3)."""
    return np.array(cell.orthogonalization_matrix()).reshape(3, 3).T
