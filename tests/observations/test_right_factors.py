"""Columns lp that are something else: DIALS's own factor, files of XDS, tables changed by hand."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.command_line import import_xds as import_command
from dxtbx.model import ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.command_line import ml_correct
from dials_spread.observations import build_observations, right_factors
from dials_spread.observations.lorentz_polarisation import (
    factor_of_geometry,
    judge_column,
)
from dials_spread.observations.right_factors import AS_READ, with_right_factors
from dials_spread.valid_input.columns import READ

QUIET = ("output.html=None", "output.json=None")
NAMES = ("quartz/integrated", "l_cysteine/20_integrated", "cunir_stills/integrated")


def with_lp(table, lp):
    changed = table.copy()
    changed["lp"] = flex.double(np.ascontiguousarray(lp, dtype=float))
    return changed


def lp_of(table):
    return table["lp"].as_numpy_array()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("s1", (True, False))
def test_the_factor_is_that_of_dials(read_measured, name, s1):
    experiments, tables = read_measured(name)
    table = tables[0].copy()
    table["id"] = flex.int(len(table), 0)
    known = (table["s1"].norms() > 0) & (table["miller_index"] != (0, 0, 0))
    table = table.select(known)
    expected = table.copy()
    expected.compute_corrections(ExperimentList([experiments[0]]))
    if not s1:
        del table["s1"]
    found = factor_of_geometry(experiments[0], table)
    # DIALS takes electrons for polarised; without s1 the centroid says where it was.
    difference = np.log(found / lp_of(expected))
    assert np.abs(difference).max() < (2e-3 if s1 else 2e-2)
    assert np.median(np.abs(difference)) < (1e-3 if s1 else 5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_right_columns_stay(read_measured, name):
    experiments, tables = read_measured(name)
    found, check = with_right_factors(experiments, tables)
    assert set(check.kind) == {"geometry"} and set(check.used) == {"column"}
    assert check.sentences() == []
    assert all(a is b for a, b in zip(found, tables))


CHANGES = {
    "reciprocal": lambda lp, lorentz, n: np.where(lp > 0, 1 / np.maximum(lp, 1e-9), 0),
    "reciprocal of the Lorentz factor": lambda lp, lorentz, n: 1 / lorentz,
    "lorentz": lambda lp, lorentz, n: lorentz,
    "other": lambda lp, lorentz, n: lp**2,
    "constant": lambda lp, lorentz, n: np.full(n, 0.5),
    "one": lambda lp, lorentz, n: np.ones(n),
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("name", NAMES[:2])
def test_what_a_column_is(read_measured, xds, name, kind):
    experiments, tables = read_measured(name)
    keep = flex.bool((lp_of(tables[0]) > 1e-3).tolist())
    table = tables[0].select(keep)
    lp = lp_of(table)
    lorentz = xds.lorentz_factor(experiments[0], table["s1"].as_numpy_array())
    changed = with_lp(table, CHANGES[kind](lp, lorentz, len(lp)))
    expected = kind.split()[0]
    if (name, kind) == (NAMES[0], "lorentz"):  # electrons have no other
        expected = "geometry"
    assert judge_column(experiments[0], changed)[0] == expected
    (found,), check = with_right_factors(experiments[:1], [changed])
    if expected in ("constant", "one", "geometry"):
        assert found is changed
        return
    assert check.used == ("geometry",)
    np.testing.assert_allclose(lp_of(found), lp, rtol=2e-3)
    assert np.array_equal(found[AS_READ].as_numpy_array(), lp_of(changed))
    ratio = lp_of(changed) / lp
    assert check.worst[0] == pytest.approx(ratio.max() / ratio.min(), rel=5e-3)
    told = " ".join(check.sentences())
    assert told.startswith("Column lp is ") and "lp=column" in told
    assert with_right_factors(experiments[:1], [changed], lp="column")[0][0] is changed
    assert judge_column(experiments[0], found)[0] == "geometry"


def test_another_polarisation(read_measured):
    (experiment,), (table,) = read_measured("l_cysteine/20_integrated")
    table = table.select(table["s1"].norms() > 0)
    other = copy.deepcopy(experiment)
    other.beam.set_polarization_fraction(0.5)
    unpolarised = table.copy()
    unpolarised.compute_corrections(ExperimentList([other]))
    assert judge_column(experiment, unpolarised)[0] == "unpolarised"
    assert judge_column(other, unpolarised)[0] == "geometry"


def test_stills_have_polarisation_alone(read_measured):
    experiments, tables = read_measured("cunir_stills/integrated")
    changed = [with_lp(t, 1 / lp_of(t)) for t in tables]
    found, check = with_right_factors(experiments, changed)
    assert set(check.kind) == {"reciprocal"}
    for new, old in zip(found, tables):
        np.testing.assert_allclose(lp_of(new), lp_of(old), rtol=1e-6)


def test_some_crystals_only(read_measured):
    experiments, tables = read_measured("cunir_stills/integrated")
    tables = [*tables]
    tables[1] = with_lp(tables[1], 1 / lp_of(tables[1]))
    tables[3] = with_lp(tables[3], np.ones(len(tables[3])))
    found, check = with_right_factors(experiments, tables)
    assert check.kind == ("geometry", "reciprocal", "geometry", "one", "geometry")
    assert check.as_dict()["columns"] == {"geometry": 3, "reciprocal": 1, "one": 1}
    told = check.sentences()
    assert "of 1 of 5 crystals (crystal 1)" in told[0]
    assert told[-1].startswith("1 of 5 crystals have no Lorentz factor")
    right, check = with_right_factors(experiments, tables, lp="geometry")
    assert set(check.used) == {"geometry"}
    assert np.isfinite(lp_of(right[3])).all() and np.ptp(lp_of(right[3])) > 0.1


def test_a_scaled_table_is_told_and_stays(read_measured):
    experiments, tables = read_measured("quartz/scaled")
    changed = with_lp(tables[0], 1 / np.maximum(lp_of(tables[0]), 1e-6))
    (found,), check = with_right_factors(experiments, [changed])
    assert found is changed and check.used == ("scale",)
    assert "dials.scale has multiplied by it" in check.sentences()[0]
    (found,), check = with_right_factors(experiments, [changed], "profile")
    assert check.used == ("geometry",) and AS_READ in found
    assert with_right_factors(experiments, tables)[1].sentences() == []


def test_without_a_geometry_to_go_by(read_measured):
    (experiment,), (table,) = read_measured("quartz/integrated")
    del table["s1"]
    x, y, z = table["xyzcal.px"].parts()
    table["xyzcal.px"] = flex.vec3_double(x, y, flex.double([*reversed(z)]))
    kept, check = with_right_factors([experiment], [table])
    assert check.kind == ("unchecked",) and kept[0] is table
    assert "could not be compared" in check.sentences()[0]
    with pytest.raises(ValueError, match="crystal 0 has no geometry"):
        with_right_factors([experiment], [table], lp="geometry")
    with pytest.raises(ValueError, match="lp=whatever is none of"):
        with_right_factors([experiment], [table], lp="whatever")


def test_a_column_of_nought_is_no_factor(read_measured):
    (experiment,), (table,) = read_measured("quartz/integrated")
    nought = with_lp(table, np.zeros(len(table)))
    assert judge_column(experiment, nought)[0] == "constant"
    del table["lp"]
    assert judge_column(experiment, table)[0] == "absent"
    ours, without = (build_observations([experiment], [t]) for t in (nought, table))
    assert np.array_equal(ours.intensity, without.intensity)
    told = with_right_factors([experiment], [nought])[1].sentences()
    assert told == ["Column lp is one constant. It is taken for no factor at all."]


@pytest.fixture
def import_xds(tmp_path, monkeypatch, xds):
    """The real dials.import_xds on files of XDS with intensities that are known."""
    monkeypatch.chdir(tmp_path)

    def run(experiment, table, intensity):
        xds.write(tmp_path, experiment, table, intensity)
        steps = ((".",), ("INTEGRATE.HKL", "xds_models.expt", "method=reflections"))
        for arguments in steps:
            try:
                import_command.run([*arguments])
            except (SystemExit, RuntimeError) as error:  # current releases take others
                pytest.skip(f"dials.import_xds: {error}")
        return tmp_path / "xds_models.expt", tmp_path / "integrate_hkl.refl"

    return run


@pytest.mark.parametrize("name", NAMES[:2])
def test_xds_files_with_known_intensities(read_measured, import_xds, xds, name):
    (experiment,), (table,) = read_measured(name)
    if experiment.crystal.num_scan_points:  # XDS.INP knows one orientation
        experiment.crystal.reset_scan_points()
    table = flex.reflection_table.from_predictions(experiment, dmin=0.9)
    lorentz = xds.lorentz_factor(experiment, table["s1"].as_numpy_array())
    table = table.select(flex.bool((lorentz > 5e-3).tolist()))[::3]
    truth = np.random.default_rng(0).uniform(10, 1000, len(table))
    files = import_xds(experiment, table, truth)
    raw = flex.reflection_table.from_file(str(files[1]))
    wrong = raw["lp"].as_numpy_array() * raw["intensity.prf.value"].as_numpy_array()
    data = right_factors.read([str(files[0])], [str(files[1])])
    observations = build_observations(data.experiments, data.tables, min_zeta=0)
    # XDS has no polarisation in these numbers; an X-ray beam has it, which is that of the
    # imported experiment, whose frame is another.
    expected = truth.copy()
    if observations.radiation == "X-rays":
        expected /= xds.polarisation(data.experiments[0], data.tables[0])
    wide = np.ptp(np.log(wrong / expected))
    off = np.abs(observations.intensity / expected[observations.row] - 1)
    if data.notes:
        assert "reciprocal" in data.notes[0] and wide > 3
        assert off.max() < 0.01
    else:  # later releases of DIALS write the right column, rough next to the axis
        assert np.mean(off < 0.01) > 0.97 and off.max() < 0.1


def test_what_is_written_and_taken_back(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expt = data_folder / "quartz" / "integrated.expt"
    right = flex.reflection_table.from_file(str(data_folder / "quartz/integrated.refl"))
    wrong = right.copy()
    lp = lp_of(right)
    lp = np.where(lp > 0, 1 / np.where(lp > 0, lp, 1), -0.0)
    wrong["lp"] = flex.double(np.ascontiguousarray(lp))
    wrong.as_file(str(tmp_path / "wrong.refl"))
    ml_correct.run([str(expt), "wrong.refl", "method=weights", *QUIET])
    assert "reciprocal" in Path("dials.ml_correct.log").read_text()
    corrected = flex.reflection_table.from_file(str(tmp_path / "corrected.refl"))
    used = lp > 0
    np.testing.assert_allclose(lp_of(corrected)[used], lp_of(right)[used], rtol=2e-3)
    undo = ("undo=True", "output.reflections=back.refl")
    ml_correct.run(["corrected.expt", "corrected.refl", *undo])
    back = flex.reflection_table.from_file(str(tmp_path / "back.refl"))
    assert sorted(back.keys()) == sorted(wrong.keys())
    assert np.array_equal(lp_of(back), lp)
    for kind in ("prf", "sum"):
        name = f"intensity.{kind}.value"
        assert np.array_equal(back[name].as_numpy_array(), wrong[name].as_numpy_array())


def test_one_table_of_several_crystals(read_measured):
    experiments, tables = read_measured("cunir_stills/integrated")
    whole = tables[0].copy()
    for table in tables[1:]:
        whole.extend(table)
    assert right_factors.with_right_rows(experiments, whole) is whole
    lp = lp_of(whole)
    mine = whole["id"].as_numpy_array() == 2
    changed = with_lp(whole, np.where(mine, 1 / lp, lp))
    found = right_factors.with_right_rows(experiments, changed)
    np.testing.assert_allclose(lp_of(found), lp, rtol=1e-9)
    assert np.array_equal(lp_of(found)[~mine], lp[~mine]) and AS_READ not in found


def test_joined_with_a_crystal_that_is_right(data_folder, tmp_path, monkeypatch):
    """Reciprocal in one crystal: both columns are as they were after undo."""
    monkeypatch.chdir(tmp_path)
    name = str(data_folder / "quartz" / "integrated.")
    right = flex.reflection_table.from_file(name + "refl")
    lp = lp_of(right)
    used = flex.bool((lp > 0).tolist())
    right = right.select(used)
    wrong = with_lp(right, 1 / lp_of(right))
    for label, table in (("a", right), ("b", wrong)):
        experiments = ExperimentListFactory.from_json_file(name + "expt", False)
        experiments[0].identifier = label
        table.experiment_identifiers()[0] = label
        # Not the very same crystal, which would be refused.
        x, y, z = table["xyzcal.px"].parts()
        table["xyzcal.px"] = flex.vec3_double(x + 1e-6 * (label == "b"), y, z)
        table.as_file(f"{label}.refl")
        experiments.as_file(f"{label}.expt")
    given = ["a.expt", "a.refl", "b.expt", "b.refl"]
    ml_correct.run([*given, "method=weights", *QUIET])
    told = " ".join(Path("dials.ml_correct.log").read_text().split())
    assert "Column lp of 1 of 2 crystals (crystal 1) is the reciprocal" in told
    done = flex.reflection_table.from_file("corrected.refl")
    factor = lp_of(done) / np.tile(lp_of(right), 2)
    np.testing.assert_allclose(factor, 1, rtol=2e-3)
    assert np.array_equal(lp_of(done)[: len(right)], lp_of(right))
    undo = ("undo=True", "output.reflections=back.refl")
    ml_correct.run(["corrected.expt", "corrected.refl", *undo])
    back = flex.reflection_table.from_file("back.refl")
    expected = np.concatenate([lp_of(right), lp_of(wrong)])
    assert np.array_equal(lp_of(back), expected)


@pytest.mark.parametrize(
    "name", ["quartz/integrated", "quartz/scaled", "glycine/integrated"]
)
def test_some_columns_give_the_same_observations(data_folder, name):
    """What is not read is not missed, extents of reflections included."""
    files = [[str(data_folder / f"{name}.{ending}")] for ending in ("expt", "refl")]
    whole, some = (
        right_factors.read(*files, columns=columns) for columns in (None, READ)
    )
    assert len([*some.tables[0].keys()]) < len([*whole.tables[0].keys()])
    assert (some.notes, some.lp) == (whole.notes, whole.lp)
    one, two = (
        build_observations(x.experiments, x.tables, assign="extent")
        for x in (whole, some)
    )
    for column in ("intensity", "variance", "entry_image", "entry", "row", "unique"):
        np.testing.assert_array_equal(getattr(one, column), getattr(two, column))
