"""What no table of reflections can hold is refused; what is only odd is taken."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

from dials_spread.valid_input.columns import (
    broken_correction,
    conflicting_columns,
    missing_columns,
    wrong_columns,
)
from dials_spread.valid_input.values import (
    impossible_geometry,
    impossible_values,
    largest_d_star,
    usable_rows,
)


@pytest.fixture
def table(simulated):
    """The reflections of the first of three simulated crystals, to be spoiled."""
    own = simulated[1][0]
    return own.select(flex.bool(len(own), True))


@pytest.fixture
def experiment(simulated):
    return simulated[0][0]


def with_value(table, name, row, value):
    values = table[name].as_numpy_array()
    values[row] = value
    table[name] = flex.double(values)


def test_a_sound_table_passes(table, experiment):
    assert missing_columns(table, "a.refl") == []
    assert wrong_columns(table, "a.refl") == []
    assert broken_correction(table, "a.refl") == []
    assert impossible_values(table, "a.refl") == []
    assert impossible_geometry(table, "a.refl", {0: experiment}, [0]) == []


@pytest.mark.parametrize(
    ("name", "column", "told"),
    [
        ("intensity.prf.value", flex.int, "holds whole numbers (int) in all"),
        ("intensity.sum.variance", flex.bool, "holds true or false (bool) in all"),
        ("miller_index", flex.vec3_double, "holds vectors (vec3_double) in all"),
        ("id", flex.double, "holds numbers (double) in all"),
        ("flags", flex.int, "holds whole numbers (int) in all"),
        ("xyzcal.px", flex.miller_index, "holds Miller indices (miller_index) in all"),
        ("partiality", flex.int6, "holds boxes (int6) in all"),
    ],
)
def test_columns_of_another_type(table, name, column, told):
    n = len(table)
    del table[name]
    table[name] = column(n)
    (line,) = wrong_columns(table, "a.refl")
    assert line.startswith(f"a.refl: column {name} {told} {n} rows, not ")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("intensity.prf.value", 1e300, "no intensity is so large"),
        ("intensity.prf.value", -1e20, "no intensity is so large"),
        ("intensity.sum.variance", 1e300, "no variance is so large"),
        ("intensity.prf.variance", 1e-300, "so small beside the intensities"),
        ("intensity.sum.variance", 5e-324, "so small beside the intensities"),
        ("partiality", 100.0, "a part of a reflection is at most all of it"),
        ("lp", 1e300, "no Lorentz-polarisation factor"),
        ("zeta", -3.0, "zeta is between -1 and 1"),
    ],
)
def test_numbers_that_nothing_measured_has(table, name, value, why):
    row = int(np.flatnonzero(usable_rows(table))[4])
    with_value(table, name, row, value)
    (line,) = impossible_values(table, "a.refl")
    assert line.startswith(
        f"a.refl: column {name} of 1 row (first row {row}: {value:g}): {why}"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_variances_that_are_left_out_later_pass(table, value):
    with_value(table, "intensity.prf.variance", slice(0, 9), value)
    assert impossible_values(table, "a.refl") == []


def test_odd_but_possible_data_pass(table):
    with_value(table, "intensity.prf.value", slice(0, 9), -5000.0)
    with_value(table, "intensity.prf.value", slice(9, 20), np.nan)
    with_value(table, "partiality", slice(0, 5), np.nan)
    with_value(table, "lp", slice(0, 5), 0.0)
    assert impossible_values(table, "a.refl") == []


def test_scaled_values_of_rows_that_dials_scale_left_out_may_be_anything(table):
    """It leaves out partialities of 1e-13, and writes summed values divided by them."""
    usable = np.flatnonzero(usable_rows(table))
    for what, power in (("value", 1), ("variance", 2)):
        table[f"intensity.scale.{what}"] = 1.0 * table[f"intensity.sum.{what}"]
        with_value(table, f"intensity.scale.{what}", usable[:3], 1e16**power)
    scaled = flex.bool(len(table), True)
    for row in usable[:3]:
        scaled[int(row)] = False
    table.set_flags(scaled, table.flags.scaled)
    table.set_flags(~scaled, table.flags.excluded_for_scaling)
    assert impossible_values(table, "a.refl") == []
    with_value(table, "intensity.scale.value", int(usable[5]), 1e16)
    (line,) = impossible_values(table, "a.refl")
    assert f"intensity.scale.value of 1 row (first row {usable[5]}: 1e+16)" in line


def test_rows_that_nobody_uses_may_hold_anything(table):
    rows = np.arange(7)
    for name in ("intensity.prf.value", "zeta", "partiality"):
        with_value(table, name, rows, 1e300)
    assert len(impossible_values(table, "a.refl")) == 3
    table.unset_flags(cctbx_flex.size_t(range(7)), table.flags.integrated)
    assert impossible_values(table, "a.refl") == []


def test_positions_and_boxes_that_are_nowhere(table):
    places = table["xyzcal.px"].as_numpy_array().reshape(-1, 3)
    places[3, 2] = 1e12
    table["xyzcal.px"] = flex.vec3_double(np.ascontiguousarray(places))
    (line,) = impossible_values(table, "a.refl")
    assert "column xyzcal.px of 1 row (first row 3: " in line
    assert line.endswith("1e+12): beyond any detector or scan")


def test_ids_below_that_of_no_experiment(table):
    ids = table["id"].as_numpy_array()
    ids[:2] = -2
    table["id"] = cctbx_flex.int(ids)
    assert impossible_values(table, "a.refl") == [
        "a.refl: column id of 2 rows (first row 0: -2): -1 stands for no experiment"
    ]


def test_ids_that_the_table_does_not_name(table, experiment):
    ids = table["id"].as_numpy_array()
    ids[5] = 77
    table["id"] = cctbx_flex.int(ids)
    assert impossible_geometry(table, "a.refl", {0: experiment}, [0]) == [
        "a.refl: column id of 1 row (first row 5: 77): the table names 1 experiment, "
        "and none of that id"
    ]
    # Old tables name none, and number crystals that were left out, too.
    assert impossible_geometry(table, "a.refl", {0: experiment}, []) == []


def test_indices_and_panels_that_the_detector_does_not_have(table, experiment):
    table["miller_index"][6] = (2000, 0, 0)
    table["panel"] = cctbx_flex.size_t(len(table), 0)
    table["panel"][8] = 3
    hkl, panel = impossible_geometry(table, "a.refl", {0: experiment}, [0])
    assert "miller_index of 1 row (first row 6: 2000, 0, 0): beyond what" in hkl
    assert "panel of 1 row (first row 8: 3): the detector has no such panel" in panel


def test_the_reach_of_a_detector(experiment):
    """By hand: the corner at an angle 2θ is at 2 sin θ / λ."""
    panel, beam = experiment.detector[0], experiment.beam
    corner = np.array(panel.get_pixel_lab_coord((0, 0)))
    direction = np.array(beam.get_s0()) * beam.get_wavelength()
    angle = np.arccos(corner @ direction / np.linalg.norm(corner))
    found = 2 * np.sin(angle / 2) / beam.get_wavelength()
    assert largest_d_star(experiment) == pytest.approx(1.1 * found, rel=0.02)


def test_half_of_a_correction_is_refused(table):
    n = len(table)
    for what in ("value", "variance"):
        table[f"intensity.prf.original.{what}"] = flex.double(n, 1.0)
    (line,) = broken_correction(table, "a.refl")
    assert "without the column ml_correction the correction can neither" in line
    table["ml_correction"] = flex.double(n, 1.0)
    assert broken_correction(table, "a.refl") == []
    del table["intensity.prf.original.variance"]
    (line,) = broken_correction(table, "a.refl")
    assert "without the column intensity.prf.original.variance the corr" in line
    del table["intensity.prf.original.value"]
    assert len(broken_correction(table, "a.refl")) == 1


def test_intensities_in_other_units_than_their_variances(table):
    """Of nothing but noise the largest is some σ; here it is a billionth of one."""
    kept = table["intensity.prf.value"]
    table["intensity.prf.value"] = kept * 1e-12
    (line,) = impossible_values(table, "a.refl")
    assert line.startswith("a.refl: column intensity.prf.value of ")
    assert line.endswith("so that intensities and variances are not in the same units")
    rng = np.random.default_rng(0)
    sigma = np.sqrt(table["intensity.prf.variance"].as_numpy_array())
    table["intensity.prf.value"] = flex.double(sigma * rng.normal(size=len(sigma)))
    assert impossible_values(table, "a.refl") == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_a_correction_factor_that_is_none(table, value):
    """Other columns may have nan, which is left out; no correction gives one."""
    table["ml_correction"] = flex.double(len(table), 1.0)
    assert impossible_values(table, "a.refl") == []
    with_value(table, "ml_correction", 5, value)
    (line,) = impossible_values(table, "a.refl")
    assert line.startswith("a.refl: column ml_correction of 1 row (first row 5: ")
    assert line.endswith("no correction factor")


def test_columns_that_cannot_be_joined(simulated):
    tables = [t.select(flex.bool(len(t), True)) for t in simulated[1]]
    assert conflicting_columns(tables) == set()
    for k, table in enumerate(tables):
        table["mine"] = (flex.double if k else flex.int)(len(table), 1)
    tables[2]["alone"] = flex.int(len(tables[2]), 1)
    assert conflicting_columns(tables) == {"mine"}
    with pytest.raises(RuntimeError):
        tables[0].extend(tables[1])
