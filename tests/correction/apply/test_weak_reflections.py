"""Weak reflections of measured data, in output.merged."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.merged_files import merged_intensities
from dials_spread.rfactor.r1 import r_factor

MOST = 3.0
"""Standard deviations by which an intensity may differ from |Fc|²."""


@pytest.fixture(scope="module")
def glycine(read_measured, data_folder):
    """Indices, F², σ and |Fc|² on their scale."""
    subject = get_subject(*read_measured("glycine/integrated"))
    source = str(data_folder / "structures" / "glycine.cif")
    result = correct_intensities(subject, choose_model(), reference=source)
    assert result.strength == 1
    array = merged_intensities(result)
    I, sigma = (x.as_numpy_array() for x in (array.data(), array.sigmas()))
    f_calc = np.asarray(result.truth.match.f_calc)
    k = r_factor(np.sqrt(I), f_calc)[1]
    return [tuple(h) for h in array.indices()], I, sigma, (f_calc / k) ** 2


def test_one_crossing_about_nought_does_not_say_nought(glycine):
    """
    (2 3 3) of glycine crossed the Ewald sphere once, and was nought in five listings.

    It is middling in the structure. With σ from these listings alone it came out a hundred σ
    away, and drew a refinement from R1 .19 to .35.
    """
    hkl, I, sigma, expected = glycine
    own = [k for k, h in enumerate(hkl) if tuple(map(abs, h)) == (2, 3, 3)]
    assert own
    z = (I - expected)[own] / sigma[own]
    assert np.abs(z).max() < MOST, dict(zip([hkl[k] for k in own], z))


def test_few_are_far_off(glycine):
    _, I, sigma, expected = glycine
    z = np.abs(I - expected) / sigma
    z = z[np.isfinite(z)]
    assert len(z) > 500
    # (-6 4 8), 25 σ, of 681: one crossing as well.
    assert np.count_nonzero(z > 10) <= 1
    weak = expected < np.median(expected)
    assert np.mean(np.abs(I - expected)[weak] < 2 * sigma[weak]) > 0.9
