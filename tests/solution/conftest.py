"""Kinematic data of built-in structures, computed by cctbx."""

from __future__ import annotations

import pytest

from cctbx import miller, xray
from cctbx.array_family import flex

from dials_spread.structures.structure_files import read_structure


def electron_intensities(structure: xray.structure, d_min: float) -> miller.array:
    structure.scattering_type_registry(table="electron")
    f_calc = structure.structure_factors(
        d_min=d_min, anomalous_flag=False, algorithm="direct"
    ).f_calc()
    f_sq = f_calc.as_intensity_array()
    sigmas = flex.double(f_sq.size(), 1e-3 * flex.mean(f_sq.data()))
    f_sq = f_sq.customized_copy(sigmas=sigmas)
    return f_sq.set_observation_type_xray_intensity()


@pytest.fixture(scope="session")
def kinematic():
    """A function that gives intensities and structure by the name of the structure."""
    made = {}

    def get(name: str, d_min: float = 0.9):
        if (name, d_min) not in made:
            structure = read_structure(name)
            made[name, d_min] = electron_intensities(structure, d_min), structure
        return made[name, d_min]

    return get


@pytest.fixture(scope="session")
def merged(data_folder):
    """A function that gives measured intensities, merged by 1/σ² and nothing else."""
    from dials.array_family import flex as dials_flex
    from dxtbx.model.experiment_list import ExperimentListFactory

    def get(name: str):
        stem = data_folder / name / "integrated"
        experiments = ExperimentListFactory.from_json_file(f"{stem}.expt", False)
        table = dials_flex.reflection_table.from_file(f"{stem}.refl")
        table = table.select(table["intensity.sum.variance"] > 0)
        if "intensity.prf.value" in table:
            table = table.select(table["intensity.prf.variance"] > 0)
        kind = "prf" if "intensity.prf.value" in table else "sum"
        points = miller.set(
            experiments[0].crystal.get_crystal_symmetry(),
            table["miller_index"],
            anomalous_flag=False,
        )
        array = miller.array(
            points,
            table[f"intensity.{kind}.value"],
            flex.sqrt(table[f"intensity.{kind}.variance"]),
        )
        array = array.map_to_asu().set_observation_type_xray_intensity()
        return array.merge_equivalents().array()

    return get
