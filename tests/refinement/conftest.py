"""Intensities whose structure is known."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.refinement.hydrogen import idealised
from dials_spread.refinement.model import electron_model, set_displacements
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


def kinematic(
    structure: xray.structure,
    d_min: float,
    *,
    counting: float = 0.01,
    relative: float = 0.0,
    scale: float = 1.0,
    rng: np.random.Generator | None = None,
) -> miller.array:
    """
    Kinematic F², from the project's own structure factors.

    Args:
        structure: The true one.
        d_min: [Å].
        counting: σ of all reflections, over the mean intensity.
        relative: Further error that σ does not contain, over the intensity.
        scale: Of all.
        rng: Random numbers; None: the intensities are exact.
    """
    points = miller.build_set(structure.crystal_symmetry(), False, d_min=d_min)
    I = np.abs(structure_factors(structure, np.array(list(points.indices())))) ** 2
    sigma = np.full(len(I), counting * I.mean())
    if rng is not None:
        error = np.hypot(sigma, relative * I)
        I = I + error * rng.normal(size=len(I))
    array = miller.array(points, flex.double(scale * I), flex.double(scale * sigma))
    return array.set_observation_type_xray_intensity()


def true_structure(name: str, anisotropic: bool = True) -> xray.structure:
    """A published structure, hydrogen put where it rides."""
    model = electron_model(read_structure(name), 0.5)
    set_displacements(model, anisotropic)
    return idealised(model)


@pytest.fixture(scope="session")
def intensities():
    """The function that makes them."""
    return kinematic


@pytest.fixture(scope="session")
def truth():
    """The function that gives structures a refinement can give back exactly."""
    return true_structure


@pytest.fixture(scope="session")
def glycine():
    """α-glycine, P 1 21/n 1, ten atoms, five of them hydrogen."""
    return true_structure("glycine")


@pytest.fixture(scope="session")
def polar():
    """Eight carbon and nitrogen atoms in P 1 21 1, whose origin floats along b."""
    from cctbx import crystal

    rng = np.random.default_rng(5)
    symmetry = crystal.symmetry((6.1, 7.3, 5.2, 90, 103, 90), "P 1 21 1")
    scatterers = [
        xray.scatterer(
            f"{'CN'[i % 2]}{i}",
            (0.07 + 0.11 * i, 0.1 + 0.5 * rng.random(), rng.random()),
            u=0.02 + 0.01 * rng.random(),
            scattering_type="CN"[i % 2],
        )
        for i in range(8)
    ]
    return xray.structure(
        crystal_symmetry=symmetry, scatterers=flex.xray_scatterer(scatterers)
    )
