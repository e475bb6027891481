"""
Noise-free observations of simulated crystals, for a truth that the program has no part in.

Read from the files of dials.simulate_ed with dxtbx and cctbx alone, and kept as plain
arrays. Nothing here is shared with dials_spread.

Symmetry. For every rotation W of the point group, h' = W h and the beam b' = Q b, Q the
same rotation in the Cartesian frame of the crystal. The inversion, which only
centrosymmetric point groups have, takes h to -h and b to -b: h along b and h along -b are
two different experiments and 180° apart. Friedel mates of other point groups are
different reflections.

Functions:
    read_noise_free: from a .expt and a .refl
    noise_free_of: from experiments and a table
    first_crystals: of some crystals only
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from cctbx import sgtbx
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

COLUMNS = {
    "scale": "truth.scale",
    "image_factor": "truth.image_factor",
    "relative_error": "truth.relative_error",
    "counting_noise": "truth.counting_noise",
    "lp": "lp",
}
"""What noise is made of, by its name here."""


class NoiseFree(NamedTuple):
    """
    Observations of all crystals, sorted by reflection; arrays of length n.

    Attributes:
        reflection: Number of the reflection unique under the point group.
        crystal: Number of the crystal.
        image: Number of the image, over all crystals.
        intensity: |F|² with multiple scattering, one scale a crystal, noise-free.
        beam: Shape (n, 3), unit vectors along the beam as the unique index sees it.
        stabilizers: Rotations (k, 3, 3) on directions that leave a reflection as it is, by
            its number, where there are others than the identity.
        thickness: Of each crystal [Å].
        noise: Variance of a relative intensity of 1 from counting, as drawn; nan without.
        columns: As in COLUMNS, of what the table has.
    """

    reflection: np.ndarray
    crystal: np.ndarray
    image: np.ndarray
    intensity: np.ndarray
    beam: np.ndarray
    stabilizers: dict[int, np.ndarray]
    thickness: np.ndarray
    columns: dict[str, np.ndarray]


def read_noise_free(expt: str, refl: str) -> NoiseFree:
    """
    Read what dials.simulate_ed has written.

    Args:
        expt: Name of the experiments.
        refl: Name of the table.
    """
    experiments = ExperimentListFactory.from_json_file(str(expt), check_format=False)
    return noise_free_of(experiments, flex.reflection_table.from_file(str(refl)))


def noise_free_of(
    experiments: ExperimentList, table: flex.reflection_table
) -> NoiseFree:
    """
    Take noise-free observations from a table.

    Args:
        experiments: One a crystal; rotation scans without scan-varying models.
        table: With `intensity.dynamical.value` or else `intensity.kinematic.value`.
    """
    name = "intensity.dynamical.value"
    name = name if name in table else "intensity.kinematic.value"
    # Systematic absences are no |F|², and dials.compare_images leaves them out.
    group = experiments[0].crystal.get_space_group()
    table = table.select(~group.is_sys_absent(table["miller_index"]))
    intensity = table[name].as_numpy_array()
    hkl = table["miller_index"].as_vec3_double().as_numpy_array().astype(int)
    crystal = table["id"].as_numpy_array()
    phi = table["xyzcal.mm"].parts()[2].as_numpy_array()
    beam = np.empty((len(phi), 3))
    for number, experiment in enumerate(experiments):
        own = crystal == number
        beam[own] = crystal_frame_beam(experiment, phi[own])
    on_indices, on_directions = point_group(experiments[0].crystal)
    unique, operator = unique_indices(hkl, on_indices)
    beam = np.einsum("nij,nj->ni", on_directions[operator], beam)
    values, reflection = np.unique(unique, axis=0, return_inverse=True)
    reflection = reflection.ravel()
    frame = np.floor(table["xyzcal.px"].parts()[2].as_numpy_array()).astype(int)
    image = np.unique(np.column_stack([crystal, frame]), axis=0, return_inverse=True)[
        1
    ].ravel()
    order = np.argsort(reflection, kind="stable")
    columns = {
        key: table[source].as_numpy_array()[order]
        for key, source in COLUMNS.items()
        if source in table
    }
    thickness = np.full(len(experiments), np.nan)
    if "truth.thickness" in table:
        thickness[crystal] = table["truth.thickness"].as_numpy_array()
    return NoiseFree(
        reflection=reflection[order],
        crystal=crystal[order],
        image=image[order],
        intensity=intensity[order],
        beam=beam[order],
        stabilizers=stabilizers(values, on_indices, on_directions),
        thickness=thickness,
        columns=columns,
    )


def crystal_frame_beam(experiment, phi: np.ndarray) -> np.ndarray:
    """
    Give the direction of the beam in the Cartesian frame of the crystal.

    Args:
        experiment: A rotation scan.
        phi: Rotation angles [rad], shape (n,).

    Returns:
        Shape (n, 3), unit vectors.
    """
    goniometer = experiment.goniometer
    axis = np.array(goniometer.get_rotation_axis_datum())
    setting = np.reshape(goniometer.get_setting_rotation(), (3, 3))
    fixed = np.reshape(goniometer.get_fixed_rotation(), (3, 3))
    s0 = np.array(experiment.beam.get_s0())
    s0 = setting.T @ (s0 / np.linalg.norm(s0))
    turned = Rotation.from_rotvec(-np.outer(phi, axis)).apply(s0)
    # A = U B for all crystals of one cell: U alone is the orientation.
    cell = experiment.crystal.get_unit_cell()
    B = np.reshape(cell.fractionalization_matrix(), (3, 3)).T
    U = np.reshape(experiment.crystal.get_A(), (3, 3)) @ np.linalg.inv(B)
    return turned @ (fixed @ U)


def point_group(model) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the rotations of the point group of a crystal model.

    Args:
        model: Of dxtbx.

    Returns:
        On indices, shape (m, 3, 3), int, and on directions, shape (m, 3, 3). The
        inversion reverses both.
    """
    group = sgtbx.space_group(model.get_space_group())
    parts = {op.r().num() for op in group.build_derived_point_group().all_ops()}
    # h' = h R in cctbx, a row vector.
    on_indices = np.array([np.reshape(r, (3, 3)).T for r in sorted(parts)])
    B = np.reshape(model.get_unit_cell().fractionalization_matrix(), (3, 3)).T
    return on_indices, B @ on_indices @ np.linalg.inv(B)


def unique_indices(
    hkl: np.ndarray, on_indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the lexically largest equivalent of each index, and the operator that gives it.

    Args:
        hkl: Shape (n, 3).
        on_indices: Shape (m, 3, 3).

    Returns:
        Shapes (n, 3) and (n,).
    """
    every = np.einsum("mij,nj->nmi", on_indices, hkl)
    size = np.abs(hkl).max() * 4 + 1
    key = (every[..., 0] * size + every[..., 1]) * size + every[..., 2]
    best = key.argmax(axis=1)
    return every[np.arange(len(hkl)), best], best


def stabilizers(
    values: np.ndarray, on_indices: np.ndarray, on_directions: np.ndarray
) -> dict[int, np.ndarray]:
    """
    Give the operators that leave each unique index as it is.

    Args:
        values: Shape (u, 3).
        on_indices, on_directions: From point_group.

    Returns:
        Those on directions, by number, where the identity is not alone.
    """
    kept = (np.einsum("mij,uj->umi", on_indices, values) == values[:, None]).all(axis=2)
    return {
        int(u): on_directions[kept[u]] for u in np.flatnonzero(kept.sum(axis=1) > 1)
    }


def first_crystals(data: NoiseFree, n: int) -> NoiseFree:
    """
    Keep the first crystals.

    Args:
        data: Of all.
        n: How many are kept.
    """
    kept = data.crystal < n
    return data._replace(
        reflection=data.reflection[kept],
        crystal=data.crystal[kept],
        image=data.image[kept],
        intensity=data.intensity[kept],
        beam=data.beam[kept],
        thickness=data.thickness[:n],
        columns={name: column[kept] for name, column in data.columns.items()},
    )
