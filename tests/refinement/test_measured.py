"""Refinement of measured intensities: it converges, and agrees with what is published."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import miller
from cctbx.array_family import flex

from dials_spread.refinement.held_out import held_out_r1
from dials_spread.refinement.refining import RefinementSettings, refine
from dials_spread.structures.structure_files import read_structure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def merged(read_measured, data_folder):
    """A function that gives a published structure and merged intensities."""

    def merge(name):
        (table,) = read_measured(f"{name}/integrated")[1]
        structure = read_structure(str(data_folder / "structures" / f"{name}.cif"))
        table = table.select(table["intensity.prf.variance"] > 0)
        points = miller.set(
            structure.crystal_symmetry(), table["miller_index"], anomalous_flag=False
        )
        array = miller.array(
            points,
            table["intensity.prf.value"],
            flex.sqrt(table["intensity.prf.variance"]),
        ).set_observation_type_xray_intensity()
        merging = array.map_to_asu().merge_equivalents(use_internal_variance=False)
        return structure, merging.array().set_observation_type_xray_intensity()

    return merge


@pytest.mark.parametrize(
    "name, r1_of_reference", [("natrolite", 0.173), ("glycine", 0.19)]
)
def test_it_converges_near_the_published_structure(name, r1_of_reference, merged):
    """R1 of the published coordinates is known; that of a refinement is not far."""
    structure, f_sq = merged(name)
    ends = [
        refine(
            structure,
            f_sq,
            settings=RefinementSettings(start_shift=shift),
            rng=np.random.default_rng(1),
        )
        for shift in (0.0, 0.1)
    ]
    for end in ends:
        assert end.converged, end.reason
        assert end.anisotropic
        assert end.r1_all == pytest.approx(r1_of_reference, abs=0.05)
        assert end.mean_shift < 0.04
        assert end.goodness_of_fit == pytest.approx(1, abs=0.1)
        assert 0.003 < end.mean_su < 0.02
    assert ends[0].r1_all == pytest.approx(ends[1].r1_all, abs=0.003)


def test_held_out_reflections_agree_less(merged):
    structure, f_sq = merged("natrolite")
    settings, rng = RefinementSettings(start_shift=0.0), np.random.default_rng(1)
    whole = refine(structure, f_sq, settings=settings, rng=rng)
    held = held_out_r1(structure, f_sq, n_sets=3, start=whole, rng=rng)
    assert held.n_converged == 3
    assert whole.r1_all < held.mean < whole.r1_all + 0.06
    assert 0 < held.spread < 0.06
