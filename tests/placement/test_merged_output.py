"""What the correction merged is found on the common list, by IMEAN of an MTZ file."""

from __future__ import annotations

import numpy as np

from cctbx import miller
from cctbx.array_family import flex

from dials_spread.observations.table import as_flex
from dials_spread.placement.merged_output import read_merged


def test_values_on_the_common_list(common, small_structure, tmp_path):
    hkl = common.unique_index
    rng = np.random.default_rng(0)
    I, sigma = rng.normal(size=len(hkl)), rng.random(len(hkl)) + 0.1
    order = rng.permutation(len(hkl))[: len(hkl) - 3]
    points = miller.set(
        small_structure.crystal_symmetry(), as_flex(-hkl[order]), anomalous_flag=False
    )
    values, errors = (flex.double(np.ascontiguousarray(x[order])) for x in (I, sigma))
    array = miller.array(points, values, errors).set_observation_type_xray_intensity()
    made = array.as_mtz_dataset(column_root_label="IMEAN", wavelength=0.025)
    made.mtz_object().write(str(tmp_path / "m.mtz"))
    found = read_merged(tmp_path / "m.mtz", common)
    np.testing.assert_allclose(found.intensity[order], I[order], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.sigma[order], sigma[order], rtol=1e-5)
    assert np.isnan(found.intensity).sum() == 3 and found.n.sum() == len(order)
