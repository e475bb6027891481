"""Corrections in tables: by hand, back bit for bit, and through the programs of DIALS."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.correction.apply.file_by_file import rows_by_id
from dials_spread.correction.apply.one_table import (
    apply_factors,
    check_uncorrected,
    undo_factors,
)
from dials_spread.observations import build_observations
from dials_spread.observations.correction_state import correction_state


def small_table() -> flex.reflection_table:
    table = flex.reflection_table()
    table["id"] = cctbx_flex.int([0, 0, 1, -1])
    table["miller_index"] = cctbx_flex.miller_index(
        [(1, 0, 0), (2, 0, 0), (1, 1, 0), (0, 0, 0)]
    )
    table["intensity.prf.value"] = cctbx_flex.double([10.0, -3.0, 0.1, 7.0])
    table["intensity.prf.variance"] = cctbx_flex.double([4.0, 1.0, 0.3, -1.0])
    table["intensity.sum.value"] = cctbx_flex.double([11.0, -2.0, 0.2, np.nan])
    table["intensity.sum.variance"] = cctbx_flex.double([5.0, 2.0, 0.7, 0.0])
    table["flags"] = cctbx_flex.size_t([1, 2, 3, 4])
    table.experiment_identifiers()[0] = "first"
    table.experiment_identifiers()[1] = "second"
    return table


def column(table, name) -> np.ndarray:
    return table[name].as_numpy_array()


def test_by_hand():
    table = small_table()
    before = table.as_msgpack()
    c = np.array([2.0, 0.5, 3.0, 1.0])
    corrected = apply_factors(table, c, scaled=False, uncertainty=c / 10)
    assert table.as_msgpack() == before
    prf = column(corrected, "intensity.prf.value")
    np.testing.assert_array_equal(prf, [20.0, -1.5, 0.1 * 3, 7.0])
    variance = column(corrected, "intensity.sum.variance")
    np.testing.assert_array_equal(variance, [20.0, 0.5, 0.7 * 9, 0.0])
    for name in ("id", "flags"):
        np.testing.assert_array_equal(column(corrected, name), column(table, name))
    assert list(corrected["miller_index"]) == list(table["miller_index"])
    assert dict(corrected.experiment_identifiers()) == {0: "first", 1: "second"}
    for kind in ("prf", "sum"):
        for what in ("value", "variance"):
            np.testing.assert_array_equal(
                column(corrected, f"intensity.{kind}.original.{what}"),
                column(table, f"intensity.{kind}.{what}"),
            )
    np.testing.assert_array_equal(column(corrected, "ml_correction"), c)
    assert set(corrected.keys()) - set(table.keys()) == {
        "ml_correction",
        "ml_correction.sigma",
        "intensity.prf.original.value",
        "intensity.prf.original.variance",
        "intensity.sum.original.value",
        "intensity.sum.original.variance",
    }
    assert correction_state(corrected) == "corrected"
    assert undo_factors(corrected).as_msgpack() == before


@pytest.mark.parametrize(
    "name, scaled",
    [("quartz/integrated", False), ("quartz/scaled", True), ("abiraterone/integrated", False)],
)  # fmt: skip
def test_offsets_are_on_the_scale_of_observations(read_measured, name, scaled):
    """lp, qe, partiality or the scale of dials.scale are in the observations alone."""
    experiments, tables = read_measured(name)
    before = build_observations(experiments, tables)
    rng = np.random.default_rng(0)
    c = np.exp(rng.normal(size=len(before)))
    shift = (
        before.sigma * rng.normal(size=len(before)) * (rng.random(len(before)) < 0.2)
    )
    rows = zip(
        tables,
        before.in_rows(c, [len(t) for t in tables]),
        before.in_rows(shift, [len(t) for t in tables], 0.0),
    )
    corrected = [apply_factors(t, f, scaled, offset=o) for t, f, o in rows]
    after = build_observations(experiments, corrected)
    np.testing.assert_allclose(
        after.intensity, before.intensity * c + shift, rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(after.variance, before.variance * c**2, rtol=1e-12)
    for old, new in zip(tables, corrected):
        assert correction_state(new) == "corrected"
        assert undo_factors(new).as_msgpack() == old.as_msgpack()


def test_offsets_by_hand():
    table = small_table()
    table["lp"] = cctbx_flex.double([2.0, 0.5, 1.0, 1.0])
    table["partiality"] = cctbx_flex.double([1.0, 0.5, 1.0, 0.0])
    offset = np.array([4.0, 3.0, 0.0, 5.0])
    corrected = apply_factors(table, np.full(4, 2.0), scaled=False, offset=offset)
    # The fourth row has no variance to be told the scale by: nothing is added.
    prf = column(corrected, "intensity.prf.value")
    np.testing.assert_allclose(prf, [20 + 2, -6 + 6, 0.2, 14])
    summed = column(corrected, "intensity.sum.value")
    np.testing.assert_allclose(summed[:3], [22 + 2, -4 + 3, 0.4])
    np.testing.assert_allclose(
        column(corrected, "ml_correction.offset.prf"), [2, 6, 0, 0]
    )
    assert undo_factors(corrected).as_msgpack() == table.as_msgpack()


def test_errors_that_are_left_go_into_variances_by_hand():
    table = small_table()
    c, more = np.array([2.0, 0.5, 3.0, 1.0]), np.array([4.0, 1.0, 9.0, 2.0])
    corrected = apply_factors(
        table, c, scaled=False, inflation=more, common=np.full(4, 0.5)
    )
    np.testing.assert_allclose(
        column(corrected, "intensity.prf.variance"), [64, 0.25, 24.3, -2]
    )
    np.testing.assert_allclose(
        column(corrected, "intensity.prf.value"), [20, -1.5, 0.3, 7]
    )
    np.testing.assert_array_equal(column(corrected, "ml_correction.inflation"), more)
    np.testing.assert_array_equal(column(corrected, "ml_correction.common"), 0.5)
    assert correction_state(corrected) == "corrected"
    assert undo_factors(corrected).as_msgpack() == table.as_msgpack()
    # Joined with a table that lacks the column, which is then nought there.
    older = apply_factors(table, c, scaled=False)
    older["ml_correction.inflation"] = cctbx_flex.double(4, 0.0)
    assert correction_state(older) == "corrected"
    with pytest.raises(ValueError, match="not positive"):
        apply_factors(table, c, scaled=False, inflation=np.zeros(4))


def test_twice_is_refused():
    corrected = apply_factors(small_table(), np.full(4, 2.0), scaled=False)
    for scaled in (False, True):
        with pytest.raises(ValueError, match="corrected already .*undo=True"):
            apply_factors(corrected, np.ones(4), scaled)
    with pytest.raises(ValueError, match="nothing to undo"):
        undo_factors(small_table())
    check_uncorrected(undo_factors(corrected))


@pytest.mark.parametrize(
    "factor, told",
    [
        ([1, 1, 1], r"\(3,\) factors for 4 reflections"),
        ([1, 0, 1, 1], "1 of 4 factors .* 0.0"),
        ([1, -2, np.nan, 1], "2 of 4 factors .* -2.0"),
        ([1, 1, 1, np.inf], "1 of 4"),
    ],
)
def test_bad_factors(factor, told):
    with pytest.raises(ValueError, match=told):
        apply_factors(small_table(), np.array(factor, dtype=float), scaled=False)


def test_a_table_without_the_intensities():
    with pytest.raises(ValueError, match="no intensity.scale"):
        apply_factors(small_table(), np.ones(4), scaled=True)


def test_scaling_again_after_a_correction_is_seen(caplog):
    table = small_table()
    table["intensity.scale.value"] = cctbx_flex.double([5.0, 6.0, 7.0, 8.0])
    table["intensity.scale.variance"] = cctbx_flex.double(4, 1.0)
    corrected = apply_factors(table, np.full(4, 1.1), scaled=True)
    corrected["intensity.scale.value"] = cctbx_flex.double([5.1, 6.1, 7.1, 8.1])
    assert correction_state(corrected) == "overwritten"
    with pytest.raises(ValueError, match="the correction is lost"):
        apply_factors(corrected, np.ones(4), scaled=True)
    restored = undo_factors(corrected)
    # What was computed anew is not replaced by what was there before.
    assert list(restored["intensity.scale.value"]) == [5.1, 6.1, 7.1, 8.1]
    assert correction_state(restored) == "none"


@pytest.mark.parametrize(
    "name, scaled", [("quartz/integrated", False), ("quartz/scaled", True)]
)
def test_observations_of_a_corrected_table(read_measured, name, scaled):
    experiments, tables = read_measured(name)
    before = build_observations(experiments, tables)
    rng = np.random.default_rng(0)
    c = np.exp(rng.normal(size=len(before)))
    (rows,) = before.in_rows(c, [len(tables[0])])
    assert np.count_nonzero(rows != 1) == len(before)
    corrected = apply_factors(tables[0], rows, scaled)
    after = build_observations(experiments, [corrected])
    np.testing.assert_allclose(after.intensity, before.intensity * c, rtol=1e-12)
    np.testing.assert_allclose(after.variance, before.variance * c**2, rtol=1e-12)
    np.testing.assert_array_equal(after.row, before.row)
    assert undo_factors(corrected).as_msgpack() == tables[0].as_msgpack()


def test_factors_find_their_rows_in_the_whole_file(read_measured):
    experiments, tables = read_measured("abiraterone/integrated")
    observations = build_observations(experiments, tables)
    whole = flex.reflection_table.concat(
        [table.select(cctbx_flex.bool(len(table), True)) for table in tables]
    )
    whole["id"] = cctbx_flex.int(
        np.repeat(np.arange(len(tables)), [len(t) for t in tables]).astype(np.int32)
    )
    shuffled = np.random.default_rng(1).permutation(len(whole))
    whole = whole.select(cctbx_flex.size_t(shuffled.astype(np.uint64)))
    parts = [whole.select(whole["id"] == i) for i in range(len(tables))]
    observations = build_observations(experiments, parts)
    # A factor that tells which reflection it belongs to.
    c = 1 + observations.crystal + 1e-4 * np.abs(observations.miller_index).sum(axis=1)
    rows, of_id = np.ones(len(whole)), rows_by_id(whole)
    of_parts = observations.in_rows(c, [len(part) for part in parts])
    for part, own in zip(parts, of_parts):
        rows[of_id[part["id"][0]]] = own
    hkl = whole["miller_index"].as_vec3_double().as_numpy_array()
    expected = 1 + column(whole, "id") + 1e-4 * np.abs(hkl).sum(axis=1)
    kept = rows != 1
    assert kept.sum() == len(observations)
    np.testing.assert_allclose(rows[kept], expected[kept])
