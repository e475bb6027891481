"""The model of the package: whole runs on compounds that it has not seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from iotbx.reflection_file_reader import any_reflection_file

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.general import SetModel, unpack
from dials_spread.correction.model.model_file import read_model
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files_of(folder: Path) -> list[str]:
    return [str(folder / f"integrated.{ending}") for ending in ("expt", "refl")]


def told() -> dict:
    return json.loads(Path("dials.ml_correct.json").read_text(encoding="utf-8"))


def test_the_model_says_what_it_is():
    assert SHIPPED.stat().st_size < 4_000_000
    model = read_model(SHIPPED)
    assert isinstance(unpack(model), SetModel)
    card = model.card
    assert "random synthetic crystals" in card.description
    (trained,) = card.training
    assert "random compounds" in trained.name and trained.observations > 1_000_000
    figures = card.validation["out of fold, model"]
    assert figures["compounds"] > 300 and figures["ratio"] < 0.8
    for grade in ("plain", "rough"):
        how_well = card.validation[f"predicted R1, {grade} sets"]
        assert how_well["rank correlation"] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, most", [("quartz", 0.75), ("abiraterone", 0.97), ("glycine", 0.97)]
)
def test_measured_compounds_come_nearer_to_their_structures(name, most, data_folder):
    """Real measurements; the model has seen synthetic crystals alone."""
    run(
        [
            *files_of(data_folder / name),
            f"reference={name}",
            "mode=apply",
            "output.html=None",
        ]
    )
    found = told()
    assert found["correction"]["method"] == "model"
    before, after = (found["r1"][key]["merged"]["r1"] for key in ("before", "after"))
    assert after < most * before
    assert 0.03 < found["correction"]["predicted_r1"] < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["hkl", "mtz"])
def test_merged_intensities_are_what_was_found(ending, data_folder):
    merged = f"merged.{ending}"
    given = [*files_of(data_folder / "quartz"), f"output.merged={merged}"]
    run([*given, "reference=quartz", "mode=apply", "output.html=None"])
    structure = read_structure("quartz")
    source = merged if ending == "mtz" else f"{merged}=hklf4"
    (array, *_) = any_reflection_file(source).as_miller_arrays(
        crystal_symmetry=structure.crystal_symmetry()
    )
    assert array.size() == told()["input"]["unique"]
    I, sigma = (np.array(x) for x in (array.data(), array.sigmas()))
    assert np.all(I >= 0) and np.all(sigma > 0)
    hkl = np.array(list(array.indices()))
    r1 = r_factor(np.sqrt(I), np.abs(structure_factors(structure, hkl)))[0]
    before, after = (told()["r1"][key]["merged"]["r1"] for key in ("before", "after"))
    # The table's factors cannot turn negative intensities round; these amplitudes can.
    assert r1 < 1.02 * after < 0.8 * before


@pytest.mark.slow
def test_at_strength_nought_the_merged_file_is_the_merge(data_folder):
    given = [
        *files_of(data_folder / "quartz"),
        "output.merged=merged.mtz",
        "strength=0",
    ]
    run([*given, "output.html=None"])
    (array, *_) = any_reflection_file("merged.mtz").as_miller_arrays()
    run([*given[:2], "method=weights", "strength=0", "output.merged=other.mtz"])
    (other, *_) = any_reflection_file("other.mtz").as_miller_arrays()
    np.testing.assert_allclose(array.data(), other.data(), rtol=1e-5)


def test_an_unknown_kind_of_merged_file_is_refused_first(data_folder):
    with pytest.raises(Sorry, match="output.merged=a.txt must end with .hkl or .mtz"):
        run([*files_of(data_folder / "quartz"), "output.merged=a.txt"])
    assert not Path("corrected.refl").exists()


@pytest.mark.parametrize("more", [["mode=validate", "reference=quartz"], ["undo=True"]])
def test_a_merged_file_of_nothing_is_refused(more, data_folder):
    with pytest.raises(Sorry, match="takes one compound that is corrected"):
        run([*files_of(data_folder / "quartz"), "output.merged=a.mtz", *more])
    assert not any(Path(".").iterdir())


@pytest.mark.slow
def test_repeated_listings_are_told(data_folder):
    run([*files_of(data_folder / "glycine"), "output.html=None"])
    log = Path("dials.ml_correct.log").read_text(encoding="utf-8")
    told = " ".join(log.split())
    # Of 1,249 crossings one is a gross outlier, which has no say.
    assert "1 gross outlier of 8,388 observations has no say" in told
    assert "Independent observations (crossings of the Ewald sphere): 1,248; a" in told
    table = flex.reflection_table.from_file("corrected.refl")
    factor = table["ml_correction"].as_numpy_array()
    assert np.isfinite(factor).all()
    # Next to the rotation axis nothing is corrected, but the Lorentz factor, which this
    # table lacks, is there: others have it, and the two are merged with one another.
    zeta = np.abs(table["zeta"].as_numpy_array())
    d = table["d"].as_numpy_array()
    next_to_axis = zeta < 0.05
    assert next_to_axis.sum() == 159
    others = np.median((factor * d / zeta)[~next_to_axis])
    wanted = np.maximum(others * zeta / d, 0.001)[next_to_axis]
    assert factor[next_to_axis] == pytest.approx(wanted, rel=0.3)
    assert factor[next_to_axis].max() < 0.15
