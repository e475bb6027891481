from __future__ import annotations

import numpy as np
import pytest

from cctbx.eltbx import e_scattering

from dials_spread.shelx.form_factors_sfac import S, four_gaussians, sfac


@pytest.mark.parametrize(
    "element", ["H", "B", "C", "N", "O", "F", "Na", "Al", "Si", "P", "S", "Cl", "Fe", "Cu", "Br", "I"]
)  # fmt: skip
def test_form_factors_are_those_of_electrons(element):
    parameters, misfit = four_gaussians(element)
    # Peng et al. (1996) in Tables C have five Gaussians without a constant.
    table = e_scattering.ito_vol_c_2011_table_4_3_2_2_entry_as_gaussian(element)
    f = np.array([table.at_stol(x) for x in S])
    a, b, c = parameters[0:8:2], parameters[1:8:2], parameters[8]
    fitted = (a * np.exp(-b * S[:, None] ** 2)).sum(axis=1) + c
    assert np.abs(fitted - f).max() < 0.01 * f[0]
    assert misfit == pytest.approx(np.abs(fitted - f).max() / f[0], abs=1e-6)


def test_the_instruction_has_14_numbers():
    remark, first, second = sfac("C")
    assert remark.startswith("REM C: largest misfit 0.")
    assert first.endswith(" =") and second.startswith(" ")
    words = (first[:-2] + second).split()
    assert words[:2] == ["SFAC", "C"]
    # 4 × (a, b), c, f', f'', μ, radius, weight.
    assert len(words[2:]) == 14
    assert [float(x) for x in words[11:14]] == [0, 0, 0]
    assert float(words[-1]) == 12.011
    assert max(len(first), len(second)) <= 80
