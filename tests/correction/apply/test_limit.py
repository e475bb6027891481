"""Noise beyond the resolution limit changes nothing within, and is left as it was."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.tables import corrected_table
from dials_spread.input_files import Input
from dials_spread.observations.correction_state import FACTOR, INFLATION

EDGE = 1.3


def with_noise(table, mean=0.1):
    """Put noise in the place of all intensities beyond EDGE, of a mean in units of σ."""
    table = table.copy()
    far = table["d"].as_numpy_array() < EDGE
    rng = np.random.default_rng(len(table))
    for kind in ("prf", "sum"):
        value, variance = (
            table[f"intensity.{kind}.{what}"].as_numpy_array().copy()
            for what in ("value", "variance")
        )
        level = np.sqrt(np.median(variance[~far]))
        value[far] = level * (mean + rng.normal(size=far.sum()))
        variance[far] = level**2
        table[f"intensity.{kind}.value"] = flex.double(value)
        table[f"intensity.{kind}.variance"] = flex.double(variance)
    return table


@pytest.fixture(scope="module")
def subjects(simulated):
    """With noise, also of a negative mean, each with a limit and without; and cut."""
    experiments, tables = simulated
    noisy = [with_noise(table) for table in tables]
    negative = [with_noise(table, -0.3) for table in tables]
    near = [t.select(flex.bool(t["d"].as_numpy_array() >= EDGE)) for t in tables]
    return noisy, {
        "noise": get_subject([*experiments], noisy),
        "no limit": get_subject([*experiments], noisy, d_min=None),
        "negative": get_subject([*experiments], negative),
        "negative, no limit": get_subject([*experiments], negative, d_min=None),
        "cut": get_subject([*experiments], near),
    }


def test_amplitudes_within_are_those_of_cut_data(subjects):
    results = {
        name: correct_intensities(subject, choose_model(), strength=1.0)
        for name, subject in subjects[1].items()
    }

    def off(name):
        """Root mean square of differences, in σ, on the scale that fits best."""
        place = {
            tuple(h): k
            for k, h in enumerate(results[name].subject.observations.unique_index)
        }
        cut = results["cut"]
        both = [place[tuple(h)] for h in cut.subject.observations.unique_index]
        F, other = cut.estimate.F, results[name].estimate.F[both]
        other = other * (F @ other) / (other @ other)
        return float(np.sqrt(np.mean(((F - other) / cut.estimate.sigma_F) ** 2)))

    assert off("noise") < 0.5
    assert off("noise") < off("no limit")
    # Of shells whose mean is negative, too; and there without a limit.
    assert off("negative") < 0.5
    assert off("negative, no limit") < 1
    assert results["cut"].subject.beyond is None


def test_what_is_beyond_stays_as_it_was(subjects, simulated):
    noisy, made = subjects
    result = correct_intensities(made["noise"], choose_model(), strength=1.0)
    limit = result.subject.limit
    assert limit.d_min == pytest.approx(EDGE, abs=0.12)
    names = [f"{k}.{e}" for e in ("expt", "refl") for k in range(3)]
    data = Input([*simulated[0]], noisy, [0, 1, 2], names, {})
    table = corrected_table(data, result)[1]
    beyond, start = result.beyond.measured, np.cumsum([0, *map(len, noisy)])
    far = np.zeros(len(table), dtype=bool)
    far[start[beyond.crystal] + beyond.row] = True
    assert (table["d"].as_numpy_array()[far] < limit.d_min + 1e-3).all()
    assert far.sum() > 500
    np.testing.assert_array_equal(table[FACTOR].as_numpy_array()[far], 1.0)
    np.testing.assert_array_equal(table[INFLATION].as_numpy_array()[far], 1.0)
    for what in ("value", "variance"):
        before, after = (
            table[f"intensity.prf{kind}.{what}"].as_numpy_array()[far]
            for kind in (".original", "")
        )
        np.testing.assert_array_equal(before, after)
    assert not (table[FACTOR].as_numpy_array()[~far] == 1.0).all()


def test_nothing_left_is_refused(simulated):
    experiments, tables = simulated
    with pytest.raises(ValueError, match="d_min=50 leaves nothing: the observations"):
        get_subject([*experiments], tables, d_min=50.0)
    with pytest.raises(ValueError, match="unique reflections; 120 are needed"):
        get_subject([*experiments], tables, d_min=3.0)
