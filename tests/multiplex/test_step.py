"""One run of dials.ml_correct, as a program, on data of a pipeline."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.one_table import undo_factors
from dials_spread.multiplex.arguments import CorrectionPlan
from dials_spread.multiplex.step import correct, problem_of_data
from dials_spread.observations.correction_state import correction_state

LIMIT = 1.4


def columns(table) -> dict:
    return {name: list(table[name]) for name in table.keys()}


def scaled(table):
    """The table as dials.scale would leave it, each crystal with a scale of its own."""
    found = table.select(cctbx_flex.bool(len(table), True))
    scale = 1.0 + table["id"].as_numpy_array()
    for what in ("value", "variance"):
        found[f"intensity.scale.{what}"] = table[f"intensity.prf.{what}"]
    found["inverse_scale_factor"] = cctbx_flex.double(scale)
    return found


@pytest.fixture(scope="module")
def corrected(simulated, tmp_path_factory):
    """What the step gives of simulated data with a resolution limit."""
    folder = tmp_path_factory.mktemp("step")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table, step = correct(
            *simulated, CorrectionPlan(arguments=("strength=0.5",)),
            dataset="All data", placement="before", number=7, d_min=LIMIT,
        )  # fmt: skip
    return table, step, folder


def test_the_step_gives_what_the_correction_gives(simulated, corrected):
    experiments, table = simulated
    inside = np.array(table["d"]) >= LIMIT
    assert 0.2 < inside.mean() < 0.9
    rows = table.select(cctbx_flex.bool(inside))
    tables = [rows.select(rows["id"] == k) for k in range(len(experiments))]
    subject = get_subject([*experiments], tables)
    expected = correct_intensities(subject, choose_model(), strength=0.5)
    observations = expected.measured
    found = np.ones(len(rows))
    number = np.concatenate([np.flatnonzero(rows["id"] == k) for k in range(3)])
    first = np.cumsum([0, *map(len, tables)])
    found[number[first[observations.crystal] + observations.row]] = expected.column
    factor = corrected[0]["ml_correction"].as_numpy_array()
    assert np.ptp(factor[inside]) > 0.1
    np.testing.assert_array_equal(factor[~inside], 1.0)
    of_observations = found != 1
    np.testing.assert_allclose(
        # Weights depend on how equivalents differ, in the last digits that files hold.
        *(factor[inside][of_observations], found[of_observations]),
        rtol=1e-6,
    )


def test_nothing_but_intensities_is_changed(simulated, corrected):
    table, found = simulated[1], corrected[0]
    assert correction_state(table) == "none"
    assert correction_state(found) == "corrected"
    assert columns(undo_factors(found)) == columns(table)
    identifiers = dict(table.experiment_identifiers())
    assert identifiers and dict(found.experiment_identifiers()) == identifiers
    for name in ("flags", "id", "miller_index"):
        assert list(found[name]) == list(table[name])


def test_files_have_the_number_of_the_step(corrected):
    _, step, folder = corrected
    assert {path.name for path in folder.iterdir()} == {
        *("7_uncorrected.expt", "7_uncorrected.refl", "7_corrected.refl"),
        *("7_dials.ml_correct.log", "7_dials.ml_correct.json"),
        *("7_dials.ml_correct.html",),
    }
    assert "strength = 0.5" in step.text
    assert step.document["parameters"]["strength"] == "0.5"
    assert step.sentences[0] == step.document["verdict"]["headline"]
    json.dumps(step.document["merging_statistics"], allow_nan=False)


@pytest.mark.slow
def test_scaled_data_are_corrected_anew_after_each_scaling(
    simulated, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    experiments, table = simulated[0], scaled(simulated[1])
    settings = {"dataset": "Filtered", "placement": "after"}
    plan = CorrectionPlan(arguments=("strength=1",))
    first, _ = correct(experiments, table, plan, **settings)
    assert list(first["intensity.prf.value"]) == list(table["intensity.prf.value"])
    again = copy.deepcopy(first)  # dials.scale writes new values beside old columns
    for what in ("value", "variance"):
        again[f"intensity.scale.{what}"] = table[f"intensity.scale.{what}"]
    assert correction_state(again) == "overwritten"
    second, step = correct(experiments, again, plan, **settings)
    assert not step.refused
    assert columns(second) == columns(first)
    # What shows no multiple scattering, as so few reflections do not, is left as it is,
    # and looked at anew.
    same, step = correct(experiments, table, CorrectionPlan(), **settings)
    assert not step.refused
    assert list(same["intensity.scale.value"]) == list(table["intensity.scale.value"])
    assert not correct(experiments, same, CorrectionPlan(), **settings)[1].refused


@pytest.mark.slow
def test_before_scaling_old_scales_are_not_corrected(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = scaled(simulated[1])
    settings = {"dataset": "All data", "placement": "before"}
    found, _ = correct(
        simulated[0], table, CorrectionPlan(arguments=("strength=1",)), **settings
    )
    assert list(found["intensity.scale.value"]) == list(table["intensity.scale.value"])
    assert list(found["intensity.prf.value"]) != list(table["intensity.prf.value"])


@pytest.mark.slow
def test_a_refusal_is_told_and_leaves_the_data(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"dataset": "cluster 2", "placement": "before", "d_min": 4.0}
    found, step = correct(*simulated, CorrectionPlan(), **settings)
    assert "unique reflections; 120 are needed" in step.refused
    assert "\n" not in step.refused and "Traceback" not in step.refused
    assert step.sentences == [f"Not corrected: {step.refused}"]
    assert columns(found) == columns(simulated[1])


def test_x_rays_are_refused_before_anything_is_done(simulated):
    experiments, table = copy.deepcopy(simulated[0]), simulated[1]
    assert problem_of_data(experiments, table, CorrectionPlan()) == ""
    for experiment in experiments:
        experiment.beam.set_wavelength(0.6889)
    problem = problem_of_data(experiments, table, CorrectionPlan())
    assert "X-rays (wavelength 0.6889 Å)" in problem and "\n" not in problem
    for other in (CorrectionPlan(placement="none"), CorrectionPlan(force=True)):
        assert problem_of_data(experiments, table, other) == ""


def test_a_model_that_is_not_there_is_refused_before_anything_is_done(simulated):
    problem = problem_of_data(*simulated, CorrectionPlan(model="no.model"))
    assert "no.model" in problem


def test_corrected_input_is_refused_before_anything_is_done(simulated, corrected):
    problem = problem_of_data(simulated[0], corrected[0], CorrectionPlan())
    assert "corrected already" in problem


def test_a_structure_is_solved_and_written_under_the_number_of_the_step(
    read_measured, tmp_path, monkeypatch
):
    """Quartz, from its intensities and its composition."""
    monkeypatch.chdir(tmp_path)
    experiments, tables = read_measured("quartz/integrated")
    chosen = ("structure=solve", "output.composition=Si O 2")
    _, step = correct(
        experiments, tables[0], CorrectionPlan(arguments=chosen),
        dataset="All data", placement="before", number=3,
    )  # fmt: skip
    assert not step.refused
    assert step.document["with_structure"]
    found = {path.name for path in tmp_path.glob("*refined*")}
    assert found == {"3_refined.res", "3_refined.hkl", "3_refined.cif"}
    assert "SFAC" in (tmp_path / "3_refined.res").read_text(encoding="utf-8")
