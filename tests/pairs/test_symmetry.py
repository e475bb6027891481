"""What may be called first, or measured in what unit, changes no number about pairs."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.comparison import compare_images
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.spread.analysis import SpreadChoices
from dials_spread.spread.origins import OriginChoices
from dials_spread.structures.structure_files import read_structure

CHOICES = SpreadChoices(
    variogram=False,
    components=False,
    normality=False,
    permutations=999,
    origins=OriginChoices(beam=False, orientations=False, noisy_spots=False),
)

STATISTICS = ("cc", "cc_rank", "r_factor", "chi_square", "n_background")
SPREADS = ("excess_spread", "background_spread")


def compared(experiments, tables):
    """The comparison, and the number of each pair by the names of its images."""
    found = compare_images(experiments, tables, spread=CHOICES)
    images, matches = found.observations.images, found.matches
    name = [
        (experiments[int(c)].identifier, int(f))
        for c, f in zip(images.crystal, images.first)
    ]
    pairs = zip(matches.image_a, matches.image_b)
    return found, {frozenset((name[a], name[b])): k for k, (a, b) in enumerate(pairs)}


@pytest.fixture(scope="module")
def crystals():
    experiments, reflections = simulate_experiments(
        read_structure("paracetamol"),
        np.random.default_rng(8),
        n_crystals=4,
        d_min=1.15,
        noise=NoiseModel(extra_error=0.15, image_spread=0.3),
    )
    tables = [reflections.select(reflections["id"] == i) for i in range(4)]
    return list(experiments), tables, compared(list(experiments), tables)


def in_another_order(experiments, tables):
    return experiments[::-1], tables[::-1]


def in_another_unit(experiments, tables):
    brighter = [table.copy() for table in tables]
    for table in brighter:
        for kind in ("prf", "sum"):
            table[f"intensity.{kind}.value"] *= 1000.0
            table[f"intensity.{kind}.variance"] *= 1000.0**2
    return experiments, brighter


@pytest.mark.parametrize("changed", [in_another_order, in_another_unit])
def test_order_of_crystals_and_unit_change_no_number(crystals, changed):
    experiments, tables, (one, pairs) = crystals
    two, others = compared(*changed(experiments, tables))
    assert pairs.keys() == others.keys() and len(pairs) > 15
    first = np.array(list(pairs.values()))
    second = np.array([others[key] for key in pairs])
    a, b = one.agreement, two.agreement
    for name in STATISTICS:
        x, y = getattr(a, name)[first], getattr(b, name)[second]
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-9, err_msg=name)
    for name in SPREADS:
        x, y = getattr(a, name)[first], getattr(b, name)[second]
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4, err_msg=name)
    # Pairs are named by what crystals hold: the scale is not inverted in another order.
    x, y = np.log(a.scale[first]), np.log(b.scale[second])
    np.testing.assert_allclose(x - y, x[0] - y[0], atol=1e-6)
    p, q = one.significance.p_value[first], two.significance.p_value[second]
    x = one.significance.log_likelihood_ratio[first]
    y = two.significance.log_likelihood_ratio[second]
    np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3)
    # Two Monte-Carlo errors of 30 hits, or of 999 draws, at 4 standard deviations.
    error = np.sqrt(2) * np.maximum(p / np.sqrt(30), np.sqrt(p / 999))
    assert np.nanmax(np.abs(p - q) / error) < 4.5
    assert np.corrcoef(np.log(p), np.log(q))[0, 1] > 0.95
    for name in ("ratio", "s_within", "s_others", "n_spots"):
        x, y = getattr(one.contrast, name), getattr(two.contrast, name)
        assert y == pytest.approx(x, rel=1e-3), name
    for name, estimate in one.summary.items():
        if name != "scale":
            assert two.summary[name].median == pytest.approx(estimate.median, rel=1e-3)
