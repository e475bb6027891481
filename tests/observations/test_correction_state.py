"""Which rows are corrected: any mask of them, in any order, with any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.correction.apply.one_table import apply_factors, undo_factors
from dials_spread.observations.correction_state import (
    corrected_crystals,
    correction_state,
    mixture_warning,
    row_states,
)

N = 40

VALUES = st.one_of(
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, -0.0, np.nan, np.inf, 1e-300, -1e-300]),
)


def column_of(values) -> cctbx_flex.double:
    return cctbx_flex.double(np.asarray(values, dtype=float))


def made(values, n_crystals: int) -> flex.reflection_table:
    """A table of N rows with the values given, over and over."""
    table = flex.reflection_table()
    table["id"] = cctbx_flex.int([k % n_crystals for k in range(N)])
    table["row"] = cctbx_flex.int(range(N))
    for shift, kind in enumerate(("prf", "sum")):
        found = np.resize(np.roll(values, shift), N)
        table[f"intensity.{kind}.value"] = column_of(found)
        table[f"intensity.{kind}.variance"] = column_of(np.roll(found, 3))
    for k in range(n_crystals):
        table.experiment_identifiers()[k] = f"crystal {k}"
    return table


@settings(max_examples=60)
@given(
    values=st.lists(VALUES, min_size=1, max_size=N),
    mask=st.lists(st.booleans(), min_size=N, max_size=N),
    crystals=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_any_rows_in_any_order_come_back_bit_for_bit(values, mask, crystals, seed):
    rng = np.random.default_rng(seed)
    table = made(values, crystals)
    rows = np.array(mask)
    corrected = apply_factors(
        table,
        np.exp(rng.normal(size=N)),
        scaled=False,
        uncertainty=rng.random(N),
        offset=rng.normal(size=N) * 50 * (rng.random(N) < 0.3),
        rows=rows,
    )
    before, after = table.as_msgpack(), corrected.as_msgpack()
    for name in ("intensity.prf.value", "intensity.sum.variance"):
        old, new = table[name].as_numpy_array(), corrected[name].as_numpy_array()
        assert old[~rows].tobytes() == new[~rows].tobytes()
    assert not row_states(corrected)[~rows].any()
    # Sorted in some way, and some of them filtered out.
    order = rng.permutation(N)[: rng.integers(1, N + 1)].astype(np.uint64)
    order = cctbx_flex.size_t(order)
    for one, other in (
        (corrected, table),
        (corrected.select(order), table.select(order)),
    ):
        if correction_state(one) == "none":
            assert not rows.any() or not row_states(one).any()
            continue
        assert undo_factors(one).as_msgpack() == other.as_msgpack()
    assert (table.as_msgpack(), corrected.as_msgpack()) == (before, after)


def test_every_row_that_was_measured_is_told_apart():
    rng = np.random.default_rng(1)
    table = made(rng.normal(size=N) * 100, 3)
    for kind in ("prf", "sum"):
        name = f"intensity.{kind}.variance"
        table[name] = column_of(np.abs(table[name].as_numpy_array()))
    rows = rng.random(N) < 0.4
    corrected = apply_factors(table, np.full(N, 2.0), scaled=False, rows=rows)
    np.testing.assert_array_equal(row_states(corrected), rows)
    # The rest can be corrected still, the same rows cannot.
    with pytest.raises(ValueError, match="corrected already"):
        apply_factors(corrected, np.full(N, 3.0), scaled=False, rows=rows)
    both = apply_factors(corrected, np.full(N, 3.0), scaled=False, rows=~rows)
    value = table["intensity.prf.value"].as_numpy_array()
    np.testing.assert_array_equal(
        both["intensity.prf.value"].as_numpy_array(), value * np.where(rows, 2, 3)
    )
    assert undo_factors(both).as_msgpack() == table.as_msgpack()


def test_a_crystal_that_was_scaled_anew_does_not_hide_another():
    """Row by row more are intact than not; the smaller crystal is not, for itself."""
    table = made(np.arange(1.0, N + 1), 1)
    table["id"] = cctbx_flex.int([int(k >= 30) for k in range(N)])
    for name in ("value", "variance"):
        table[f"intensity.scale.{name}"] = table[f"intensity.prf.{name}"]
    table["inverse_scale_factor"] = column_of(np.ones(N))
    corrected = apply_factors(table, np.full(N, 2.0), scaled=True)
    scaled = corrected["intensity.scale.value"].as_numpy_array()
    scaled[30:] = np.arange(10) + 0.3
    corrected["intensity.scale.value"] = column_of(scaled)
    assert list(row_states(corrected)) == [1] * 30 + [2] * 10
    value = undo_factors(corrected)["intensity.scale.value"].as_numpy_array()
    np.testing.assert_array_equal(value[:30], np.arange(1.0, 31))
    np.testing.assert_array_equal(value[30:], np.arange(10) + 0.3)
    parts = [corrected.select(corrected["id"] == k) for k in range(2)]
    assert list(corrected_crystals(parts)) == [True, False]
    assert list(corrected_crystals(parts, "profile")) == [False, False]


def test_scaled_intensities_of_corrected_ones_count_as_corrected():
    table = made(np.arange(1.0, N + 1), 1)
    corrected = apply_factors(table, np.full(N, 2.0), scaled=False)
    for choice in (None, "scale", "profile", "sum"):
        assert list(corrected_crystals([corrected, table], choice)) == [True, False]


@pytest.mark.parametrize(
    "n, n_corrected, told",
    [
        (3, 0, ""),
        (3, 3, ""),
        (3, 1, "mixed: 1 of 3 is corrected by dials.ml_correct, 2 not."),
        (20, 19, "mixed: 19 of 20 are corrected by dials.ml_correct, 1 not."),
    ],
)
def test_what_is_said_of_a_mixture(n, n_corrected, told):
    found = mixture_warning(np.arange(n) < n_corrected)
    assert found == (told and f"Corrected and uncorrected crystals are {told}")
