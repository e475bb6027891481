"""The table that is written, merged, gives the amplitudes that were found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.tables import corrected_table, restored_table
from dials_spread.input_files import Input
from dials_spread.observations import build_observations
from dials_spread.observations.correction_state import OFFSET
from dials_spread.rfactor import merge


def as_input(experiments, tables) -> Input:
    """What read_input gives for a file of each data set."""
    names = [f"{k}.{ending}" for ending in ("expt", "refl") for k in range(len(tables))]
    return Input([*experiments], tables, [*range(len(tables))], names, {})


@pytest.mark.parametrize("name", ["quartz/integrated", "quartz/scaled"])
def test_every_amplitude_is_in_the_table(read_measured, data_folder, name):
    """Of one crystal the scale that dials.scale has to find is one number."""
    experiments, tables = read_measured(name)
    files = [str(data_folder / f"{name}.{ending}") for ending in ("expt", "refl")]
    data = Input([*experiments], tables, [0], files, {})
    subject = get_subject([*experiments], tables, force=True)
    result = correct_intensities(subject, choose_model())
    assert 0 < result.factors.reached.mean() < 1
    np.testing.assert_allclose(result.F, result.estimate.F)
    corrected, table = corrected_table(data, result)
    again = build_observations([*corrected], [table])
    measured = subject.prepared.measured
    np.testing.assert_array_equal(again.row, subject.observations.row)
    merged = merge(
        again.intensity, again.variance, measured.unique, measured.n_unique,
        1 / again.variance,
    ).intensity  # fmt: skip
    ratio = merged / result.estimate.F**2
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-6)


def test_joined_tables_keep_offsets_and_can_be_restored(read_measured):
    """Also those of crystals to whose observations nothing was added."""
    experiments, tables = read_measured("abiraterone/integrated")
    data = as_input(experiments, tables)
    subject = get_subject([*experiments], tables, force=True)
    result = correct_intensities(subject, choose_model())
    some = subject.observations.crystal != 2
    result = replace(result, offset=np.where(some, result.offset, 0.0))
    joined, table = corrected_table(data, result)
    offset = table[f"{OFFSET}.prf"].as_numpy_array()
    ids = table["id"].as_numpy_array()
    assert {*ids[offset != 0]} == {0, 1, 3, 4, 5}
    restored = restored_table(Input([*joined], [table], [0], data.files, {}))[1]
    assert OFFSET not in " ".join(restored.keys())
    before = np.concatenate([t["intensity.prf.value"] for t in tables])
    np.testing.assert_array_equal(restored["intensity.prf.value"], before)
