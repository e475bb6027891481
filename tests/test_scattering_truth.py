"""What images of one orientation have in common, against simulated truth.

The same crystals, orientations and noise are simulated twice: with multiple scattering
and without. Beyond counting noise, 10 % of extra error is put into every intensity.
"""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.comparison import compare_images
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure

pytestmark = [pytest.mark.slow, pytest.mark.long]

EXTRA_ERROR = 0.1


@pytest.fixture(scope="module", params=["kinematic", "dynamical"])
def simulated(request):
    """Name of the wave, and the comparison of twenty crystals.

    Fewer would not do: within 2° most of what one orientation has in common is gone, and
    s of pairs is some 9 % smaller than s to all others.
    """
    rng = np.random.default_rng(1)
    experiments, reflections = simulate_experiments(
        random_structure(rng),
        rng,
        n_crystals=20,
        scan_width=60.0,
        noise=NoiseModel(image_spread=0.05, extra_error=EXTRA_ERROR),
        wave=request.param,
    )
    ids = reflections["id"]
    tables = [reflections.select(ids == i) for i in range(len(experiments))]
    return request.param, compare_images(experiments, tables)


def test_the_spread_is_what_was_put_in_without_multiple_scattering(simulated):
    wave, comparison = simulated
    pairs = comparison.summary["excess_spread"]
    others = comparison.summary["background_spread"]
    assert pairs.n_pairs > 900
    if wave == "kinematic":
        assert pairs.median == pytest.approx(EXTRA_ERROR, rel=0.15)
        assert others.median == pytest.approx(EXTRA_ERROR, rel=0.15)
    else:
        assert others.median > 1.5 * EXTRA_ERROR


def test_only_multiple_scattering_makes_one_orientation_special(simulated):
    wave, comparison = simulated
    contrast = comparison.contrast
    assert contrast.shown == (wave == "dynamical")
    assert contrast.ratio_low < contrast.ratio < contrast.ratio_high
    if wave == "kinematic":
        assert contrast.n_pairs > 200
        assert contrast.ratio_low < 1 < contrast.ratio_high
    else:
        assert contrast.ratio < 0.95
