"""Training of the general model: compounds, virtual experiments, folds, the command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dials_spread.correction.model.general import unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.general_model.compounds import (
    COLUMN,
    N_STRATA,
    Store,
    draw_conditions,
    load_compound,
    store_compound,
)
from dials_spread.general_model.families import THICKNESSES
from dials_spread.general_model.gather import (
    gather_compound,
    measured_of,
    true_amplitudes,
)
from dials_spread.general_model.out_of_fold import Outcome, folds, summary
from dials_spread.general_model.train import main
from dials_spread.general_model.virtual import virtual_experiments
from dials_spread.rfactor.r1 import r_factor

VOLUMES = (220.0, 300.0)
COMPOUNDS = 6

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder, model file and status of a small training from nothing."""
    folder = tmp_path_factory.mktemp("training")
    output = folder / "small.model"
    given = [str(folder / "compounds"), "--compounds", str(COMPOUNDS), "--trees", "10"]
    given += ["--engine", "trees"]
    given += ["--volumes", *map(str, VOLUMES), "--output", str(output)]
    return folder / "compounds", output, main(given)


def test_conditions_are_within_what_is_said():
    drawn = [draw_conditions(np.random.default_rng(k), 300.0) for k in range(300)]
    centres = np.array([d.centres for d in drawn])
    assert THICKNESSES[0] <= centres.min() < 130 and 1500 < centres.max() <= 1700
    edges = np.exp(np.linspace(*np.log(THICKNESSES), N_STRATA + 1))
    assert np.all((centres >= edges[:-1] * 0.999) & (centres <= edges[1:] * 1.001))
    assert {len(d.scan_widths) for d in drawn} == {1, 2, 3, 4, 6, 8}
    assert {d.wavelength for d in drawn} == {0.02508, 0.01969}
    # A large cell has few crystals, as time goes with its cube.
    large = [draw_conditions(np.random.default_rng(k), 2200.0) for k in range(50)]
    assert max(len(d.scan_widths) for d in large) == 2


@pytest.mark.slow
def test_thicker_crystals_are_further_from_kinematic(trained):
    folder, _, _ = trained
    r1 = []
    for seed in range(COMPOUNDS):
        _, reflections, about = load_compound(str(folder), seed)
        assert VOLUMES[0] * 0.99 <= about["volume"] <= VOLUMES[1] * 1.01
        F = np.sqrt(reflections["intensity.kinematic.value"].as_numpy_array())
        squared = [reflections[COLUMN.format(k)].as_numpy_array() for k in range(3)]
        r1.append([r_factor(np.sqrt(np.maximum(x, 0)), F)[0] for x in squared])
    r1 = np.array(r1)
    assert np.all(r1[:, 0] < r1[:, 2])
    assert np.median(r1[:, 0]) < 0.2 < np.median(r1[:, 2])


@pytest.mark.slow
def test_a_compound_is_simulated_once(trained, tmp_path):
    folder, _, _ = trained
    path = folder / "compound_000001.json"
    before = path.stat().st_mtime_ns
    assert store_compound(Store(str(folder), VOLUMES), 1)
    assert path.stat().st_mtime_ns == before
    # From its seed alone the same comes out again.
    assert store_compound(Store(str(tmp_path), VOLUMES), 1)
    again = load_compound(str(tmp_path), 1)[1]
    old = load_compound(str(folder), 1)[1]
    for column in ("intensity.kinematic.value", COLUMN.format(2)):
        assert np.array_equal(again[column].as_numpy_array(), old[column])


def test_what_cannot_be_simulated_is_remembered(tmp_path):
    # No two atoms fit into such a cell, in 200 draws.
    assert not store_compound(Store(str(tmp_path), (0.5, 1.0)), 3)
    told = json.loads((tmp_path / "compound_000003.json").read_text())
    assert "failed" in told
    assert not store_compound(Store(str(tmp_path), (0.5, 1.0)), 3)
    assert gather_compound(str(tmp_path), 3) == []


@pytest.mark.slow
def test_virtual_experiments_are_tables_of_integration(trained):
    folder, _, _ = trained
    compound = load_compound(str(folder), 0)
    made = list(virtual_experiments(*compound, np.random.default_rng(5)))
    assert [how["stratum"] for _, _, how in made] == [0, 1, 2]
    for experiments, tables, _ in made:
        observations, measured = measured_of(experiments, tables)
        assert len(observations) > 0.9 * sum(map(len, tables))
        assert not measured.lorentz_applied_here
        F = true_amplitudes(observations, tables)
        merged = np.bincount(observations.unique, observations.intensity)
        merged = merged / np.bincount(observations.unique)
        # What is measured is recognisably this compound.
        assert np.corrcoef(F**2, merged)[0, 1] > 0.5


def test_a_compound_is_in_one_fold():
    compounds = np.repeat(np.arange(23), 3)
    fold = folds(compounds, 5, 0)
    assert all(len(set(fold[compounds == c])) == 1 for c in range(23))
    sizes = np.bincount(fold)
    assert len(sizes) == 5 and np.ptp(sizes) <= 3
    with pytest.raises(ValueError, match="3 compounds cannot make 5 folds"):
        folds([1, 2, 3, 3], 5, 0)


def test_summary_of_ratios_by_hand():
    def outcome(compound, ratio):
        return Outcome(compound, 0, "plain", 3.0, 0.2, {"model": 0.2 * ratio})

    told = summary([outcome(0, 0.5), outcome(0, 2.0), outcome(1, 0.25)])
    assert told["ratio"] == pytest.approx(0.25 ** (1 / 3))
    assert told["worse"] == pytest.approx(1 / 3)
    assert told["worst"] == pytest.approx(2.0)
    assert (told["sets"], told["compounds"]) == (3, 2)
    # ln ratios by compound: 0 and ln(1/4); their mean has the error |ln 4| / 2.
    error = told["ratio"] * np.log(4) / 2
    assert told["standard_error"] == pytest.approx(error)


@pytest.mark.slow
def test_training_ends_with_a_model_that_can_be_read(trained):
    folder, output, status = trained
    assert status == 0
    model = read_model(output)
    figures = model.card.validation
    assert 0.3 < figures["out of fold, model"]["ratio"] < 1.3
    sets = [s for k in range(COMPOUNDS) for s in gather_compound(str(folder), k)]
    for grade, title in (("plain", "out of fold"), ("rough", "rough sets out of fold")):
        n = sum(s.grade == grade for s in sets)
        assert figures[f"predicted R1, {grade} sets"]["sets"] == n > 0
        assert figures[f"{title}, model"]["sets"] == n
    assert len(model.card.features) == 86
    general = unpack(model)
    ratios = []
    for k in range(COMPOUNDS):
        for one in gather_compound(str(folder), k):
            corrected = general.correct(one.features)
            before = r_factor(one.features.E_k * np.sqrt(one.features.N), one.F)[0]
            ratios.append(r_factor(corrected.F, one.F)[0] / before)
            assert np.all(corrected.error > 0) and 0.005 < corrected.predicted_r1 < 1
    # It has seen these compounds; that proves only that everything hangs together.
    assert np.exp(np.mean(np.log(ratios))) < 0.95


@pytest.mark.slow
def test_a_network_is_trained_from_the_same_compounds(trained):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    folder, _, _ = trained
    output = folder.parent / "network.model"
    given = [str(folder), "--compounds", str(COMPOUNDS), "--epochs", "3"]
    given += ["--trees", "10", "--volumes", *map(str, VOLUMES), "--nproc", "1"]
    assert main([*given, "--output", str(output)]) == 0
    model = read_model(output)
    assert len(model.networks) == 4 and list(model.forests) == ["bias"]
    assert 0.3 < model.card.validation["out of fold, model"]["ratio"] < 1.3
    one = next(s for k in range(COMPOUNDS) for s in gather_compound(str(folder), k))
    corrected = unpack(model).correct(one.features)
    assert np.all(corrected.error > 0) and 0.005 < corrected.predicted_r1 < 1
    assert len(corrected.bias) == len(one.features.E_i)


@pytest.mark.slow
def test_virtual_faults_have_their_size(trained):
    folder, _, _ = trained
    experiments, reflections, about = load_compound(str(folder), 1)
    spoilt = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        made = virtual_experiments(experiments, reflections, about, rng, copies=2)
        told = [how for _, _, how in made]
        assert [how["stratum"] for how in told] == [0, 0, 1, 1, 2, 2]
        spoilt += [how["outliers"] > 0 for how in told]
        assert all(
            (how["background_error"] > 0) == (how["outliers"] > 0) for how in told
        )
    assert 12 <= sum(spoilt) <= 36  # 24 of 48 expected


@pytest.mark.slow
def test_too_few_compounds_are_told_in_a_line(tmp_path, caplog):
    given = [str(tmp_path / "few"), "--compounds", "5", "--volumes", "0.5", "1"]
    given += ["--engine", "trees", "--output", str(tmp_path / "no.model")]
    assert main(given) == 1
    assert "0 compounds cannot make 4 folds" in caplog.text
    assert not (tmp_path / "no.model").exists()
