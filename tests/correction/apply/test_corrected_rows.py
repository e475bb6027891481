"""Corrected rows among others, and corrections that were scaled away."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.correction.apply.corrected_rows import (
    forget_overwritten,
    with_corrected_part,
)
from dials_spread.correction.apply.one_table import apply_factors, undo_factors
from dials_spread.observations.correction_state import correction_state

N = 8


@pytest.fixture
def table() -> flex.reflection_table:
    found = flex.reflection_table()
    found["id"] = cctbx_flex.int([k % 2 for k in range(N)])
    found["flags"] = cctbx_flex.size_t([2**k for k in range(N)])
    found["miller_index"] = cctbx_flex.miller_index([(k, 1, 2) for k in range(N)])
    for kind in ("prf", "scale"):
        values = np.arange(1.0, N + 1) * (1 if kind == "prf" else 7)
        found[f"intensity.{kind}.value"] = cctbx_flex.double(values)
        found[f"intensity.{kind}.variance"] = cctbx_flex.double(values)
    found["inverse_scale_factor"] = cctbx_flex.double(N, 1.0)
    for k in range(2):
        found.experiment_identifiers()[k] = f"crystal {k}"
    return found


def columns(table) -> dict:
    return {name: list(table[name]) for name in table.keys()}


def test_rows_that_were_not_corrected_keep_their_place_and_values(table):
    inside = cctbx_flex.bool([k in (1, 2, 5) for k in range(N)])
    part = apply_factors(table.select(inside), np.array([2.0, 3.0, 4.0]), scaled=False)
    whole = with_corrected_part(table, inside, part)
    assert list(whole["intensity.prf.value"]) == [1, 4, 9, 4, 5, 24, 7, 8]
    assert list(whole["intensity.prf.variance"]) == [1, 8, 27, 4, 5, 96, 7, 8]
    assert list(whole["ml_correction"]) == [1, 2, 3, 1, 1, 4, 1, 1]
    assert dict(whole.experiment_identifiers()) == {0: "crystal 0", 1: "crystal 1"}
    for name in ("id", "flags", "miller_index", "intensity.scale.value"):
        assert list(whole[name]) == list(table[name])
    assert correction_state(whole) == "corrected"
    assert columns(undo_factors(whole)) == columns(table)


def test_a_correction_that_was_scaled_away_leaves_nothing(table):
    corrected = apply_factors(table, np.full(N, 2.0), scaled=True)
    assert forget_overwritten(corrected) is corrected
    assert forget_overwritten(table) is table
    corrected["intensity.scale.value"] = cctbx_flex.double(np.arange(N) + 0.3)
    assert correction_state(corrected) == "overwritten"
    found = forget_overwritten(corrected)
    assert {*found.keys()} == {*table.keys()}
    assert list(found["intensity.scale.value"]) == list(np.arange(N) + 0.3)
    assert "ml_correction" in corrected, "the table given must stay as it is"


def test_outliers_that_were_taken_in_lose_their_flag_and_get_it_back(table):
    """dials.scale flags as scaled what it accepts; other bits are none of our business."""
    flags = table.flags
    outlier, scaled, other = (
        int(f) for f in (flags.outlier_in_scaling, flags.scaled, flags.strong)
    )
    table["flags"] = cctbx_flex.size_t(
        [
            scaled,
            outlier,
            outlier | other,
            outlier | scaled,
            outlier,
            scaled,
            outlier,
            0,
        ]
    )
    inside = cctbx_flex.bool([k < 6 for k in range(N)])
    taken_in = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    part = apply_factors(
        table.select(inside), np.full(6, 2.0), scaled=True, taken_in=taken_in
    )
    whole = with_corrected_part(table, inside, part)
    accepted = [scaled, scaled, scaled | other, scaled, outlier, scaled, outlier, 0]
    assert list(whole["flags"]) == accepted
    assert list(whole["ml_correction.taken_in"]) == [0, 1, 1, 2, 0, 0, 0, 0]
    assert columns(undo_factors(whole)) == columns(table)
    # Another program's flags of the same rows stay.
    whole["flags"] = cctbx_flex.size_t(
        [f | int(flags.used_in_refinement) for f in accepted]
    )
    restored = list(undo_factors(whole)["flags"])
    assert restored == [f | int(flags.used_in_refinement) for f in table["flags"]]
