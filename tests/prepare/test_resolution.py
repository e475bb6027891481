"""The resolution limit: of noise that was added, and as dials.estimate_resolution has it."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, miller
from cctbx.array_family import flex
from dials.util.resolution_analysis import Resolutionizer, metrics, phil_defaults

from dials_spread.observations.table import as_flex
from dials_spread.prepare.resolution import resolution_limit
from dials_spread.prepare.scaling import fit_scales

EDGE = 1.3
"""Beyond, there is noise [Å]."""


@pytest.fixture(scope="module")
def scaled(small):
    """To 1.0 Å, with signal everywhere."""
    return small.divided(fit_scales(small).scale)


@pytest.fixture(scope="module")
def noisy(scaled):
    """The same with nothing but noise beyond EDGE, as large as the last signal there is."""
    near = scaled.within(EDGE)
    level = np.median(scaled.sigma[near])
    noise = level * (0.1 + np.random.default_rng(2).normal(size=len(scaled)))
    sigma = np.where(near, scaled.sigma, level)
    return scaled.with_intensity(np.where(near, scaled.intensity, noise), sigma)


def by_dials(observations):
    """What dials.estimate_resolution finds, with its defaults."""
    symmetry = crystal.symmetry(
        unit_cell=observations.unit_cell, space_group=observations.space_group
    )
    points = miller.set(symmetry, as_flex(observations.miller_index), False)
    columns = (flex.double(x) for x in (observations.intensity, observations.sigma))
    array = miller.array(points, *columns).set_observation_type_xray_intensity()
    params = phil_defaults.extract().resolution
    params.reflections_per_bin = 30
    return Resolutionizer(array, params).resolution(metrics.CC_HALF, 0.3).d_min


def test_data_with_signal_have_no_limit(scaled):
    limit = resolution_limit(scaled)
    assert limit.d_min is None and limit.n_observations == 0
    assert limit.d_end == pytest.approx(scaled.d_spacing.min(), abs=1e-6)


def test_noise_is_found_where_it_begins(noisy):
    limit = resolution_limit(noisy)
    assert limit.by == "CC½"
    assert limit.d_min == pytest.approx(EDGE, abs=0.1)
    # A curve does not end as sharply as these data; that of DIALS, less so.
    assert EDGE > limit.d_min > by_dials(noisy) - 0.01
    assert limit.cc_half < 0.3 and limit.i_over_sigma < 1
    assert limit.n_observations == np.count_nonzero(~noisy.within(limit.d_min))


def test_a_limit_that_is_given_is_taken(scaled):
    limit = resolution_limit(scaled, 1.5)
    assert (limit.d_min, limit.by) == (1.5, "d_min")
    assert limit.cc_half > 0.9 and limit.i_over_sigma > 5
    assert limit.n_observations == np.count_nonzero(~scaled.within(1.5))
    assert resolution_limit(scaled, 0.5).d_min is None, "the data end before"


def test_without_equivalents_i_over_sigma_tells(noisy):
    """Of every reflection one observation."""
    first = np.unique(noisy.unique, return_index=True)[1]
    limit = resolution_limit(noisy.select(first))
    assert limit.by == "⟨I/σ⟩" and np.isnan(limit.cc_half)
    assert limit.d_min == pytest.approx(EDGE, abs=0.1)


def test_repeated_listings_of_a_crossing_are_no_agreement(noisy):
    """Noise that is listed three times agrees with itself, and is noise all the same."""
    thrice = noisy.select(np.repeat(np.arange(len(noisy)), 3))
    assert len(thrice.without_repeats()[0]) == len(noisy)
    assert resolution_limit(thrice).d_min == pytest.approx(
        resolution_limit(noisy).d_min, abs=1e-6
    )
