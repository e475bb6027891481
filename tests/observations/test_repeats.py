"""What is listed several times is one observation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.model.general import unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.observations import Observations
from dials_spread.prepare.prepared import prepare


def listed_again(
    measured: Observations, times: int, rng
) -> tuple[Observations, np.ndarray]:
    """Every observation several times, in any order, with 3 % of noise of its own."""
    rows = rng.permutation(np.repeat(np.arange(len(measured)), times))
    many = measured.select(rows)
    noise = 1 + 0.03 * rng.standard_normal(len(rows))
    shift = rng.uniform(-0.4, 0.4, len(rows))
    many = many.with_intensity(many.intensity * noise, many.sigma)
    return with_angle(many, many.angle + shift), rows


def with_angle(measured: Observations, angle: np.ndarray) -> Observations:
    return measured.with_geometry(replace(measured.geometry, angle=angle))


def test_crossings_by_hand(small):
    few = small.select(np.zeros(6, dtype=int))
    few = replace(few, crystal=np.array([0, 0, 0, 1, 0, 0]))
    few = with_angle(few, np.array([10.0, 30.0, 11.5, 10.0, 13.0, 30.0]))
    # 10, 11.5 and 13° are one chain; 30° comes twice; the other crystal is on its own.
    np.testing.assert_array_equal(few.crossings(), [0, 1, 0, 2, 0, 1])
    other = replace(few, miller_index=few.miller_index + np.arange(6)[:, None])
    np.testing.assert_array_equal(other.crossings(), np.arange(6))
    joined, crossing = few.with_intensity(np.arange(6.0), few.sigma).without_repeats()
    np.testing.assert_allclose(joined.intensity, [2.0, 3.0, 3.0])
    np.testing.assert_array_equal(crossing, [0, 1, 0, 2, 0, 1])
    np.testing.assert_allclose(np.linalg.norm(joined.beam, axis=1), 1)


def test_what_is_listed_once_stays_as_it_is(small):
    joined, crossing = small.without_repeats()
    near = len(small) - len(joined)
    # Two crossings of one reflection close to the rotation axis may be taken for one.
    assert near <= 0.02 * len(small)
    assert len(crossing) == len(small) and crossing.max() == len(joined) - 1
    apart = small.select(np.unique(crossing, return_index=True)[1])
    again, _ = apart.without_repeats()
    assert again is apart


def test_repeats_do_not_pass_for_agreement(small):
    """Neither amplitudes nor what is expected of them depend on how often one is listed."""
    model = unpack(read_model(SHIPPED))
    once, _ = small.without_repeats()
    often, rows = listed_again(once, 4, np.random.default_rng(3))
    joined, crossing = often.without_repeats()
    assert len(joined) == len(once) and len(crossing) == 4 * len(once)
    assert all(len(set(rows[crossing == p])) == 1 for p in range(0, len(joined), 97))
    expected, found, naive = (
        model.correct(features_of(prepare(m))) for m in (once, joined, often)
    )
    np.testing.assert_array_equal(joined.unique_index, once.unique_index)
    assert found.predicted_r1 == pytest.approx(expected.predicted_r1, rel=0.05)
    # Counted apart, they seem to be known better than they are.
    assert naive.predicted_r1 < 0.93 * expected.predicted_r1
    close = np.corrcoef(found.F, expected.F)[0, 1]
    assert close > 0.999
