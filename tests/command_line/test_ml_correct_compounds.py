"""dials.ml_correct on several compounds, and on scaled data: whole runs."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.model.model_file import read_model
from dials_spread.correction.validate.learning import new_regressor
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.structures.structure_files import read_structure

REPORTS = {f"dials.ml_correct.{ending}" for ending in ("log", "json", "html")}


def told(name: str = "dials.ml_correct.json") -> dict:
    return json.loads(Path(name).read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def few_trees(monkeypatch):
    """Fewer trees than by default: what is tested does not hang on them."""
    monkeypatch.setattr("dials_spread.correction.validate.validation.CONTROL_TREES", 5)
    quick = partial(new_regressor, max_iter=25)
    for module in ("validation", "learning", "importance"):
        monkeypatch.setattr(
            f"dials_spread.correction.validate.{module}.new_regressor",
            lambda seed, **settings: quick(seed, **settings),
        )


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> dict[str, list[str]]:
    """Files of three thick compounds, by name."""
    folder, files = tmp_path_factory.mktemp("three"), {}
    for k, (name, n_crystals, d_min) in enumerate(
        (("paracetamol", 4, 1.4), ("quartz", 4, 0.75), ("glycine", 3, 0.9))
    ):
        experiments, table = simulate_experiments(
            read_structure(name),
            np.random.default_rng(k),
            n_crystals=n_crystals,
            scan_width=50.0,
            d_min=d_min,
            wave="dynamical",
            thickness=ThicknessModel(median=500.0),
        )
        files[name] = [f"{folder}/{name}.{ending}" for ending in ("expt", "refl")]
        experiments.as_file(files[name][0])
        table.as_file(files[name][1])
    return files


@pytest.mark.slow
def test_three_compounds_and_a_model_for_the_third(three, few_trees):
    names = ("quartz", "glycine")
    files = [f for name in names for f in three[name]]
    run([*files, *(f"reference={n}" for n in reversed(names)), "mode=train"])
    # A table of several compounds would be of no use to dials.scale.
    assert {p.name for p in Path(".").iterdir()} == REPORTS | {"trained.model"}
    document = told()
    assert [c["reference"] for c in document["input"]["compounds"]] == [*names][::-1]
    assert document["input"]["crystals"] == 7 and document["r1"] is None
    scores = {(s["split"], s["method"]): s for s in document["validation"]["scores"]}
    assert {split for split, _ in scores} == {"crystal", "reflection", "compound"}
    for score in scores.values():
        each = [one["r1"] for one in score["compounds"]]
        assert len(each) == 2 and score["r1"] == pytest.approx(np.mean(each))
        assert score["cc"] is not None and score["log_likelihood"] is not None
    # Plain means of one and the same data, whatever the split.
    assert scores["crystal", "none"] == {
        **scores["compound", "none"],
        "split": "crystal",
        "gain_su": scores["crystal", "none"]["gain_su"],
    }
    assert scores["reflection", "model"]["r1"] < scores["reflection", "none"]["r1"]
    by_crystal = document["validation"]["r1_by_crystal"]
    assert sorted(sum((one["crystals"] for one in by_crystal), [])) == [*range(7)]
    log = Path("dials.ml_correct.log").read_text(encoding="utf-8")
    verdict = log.split("\nSummary\n-------\n")[1].split("\n\n")[0].replace("\n", " ")
    assert "Compounds that the model had not seen (" in verdict
    advice = log.split("\nWhat to do next\n")[1]
    assert "No corrected tables are written" in " ".join(advice.split())
    page = Path("dials.ml_correct.html").read_text(encoding="utf-8")
    for plot in ("splits", "crystals_unseen", "errors", "importance"):
        assert f'id="{plot}"' in page
    training = read_model("trained.model").card.training
    assert [(s.name, s.crystals) for s in training] == [("glycine", 3), ("quartz", 4)]

    other = [*three["paracetamol"], "reference=paracetamol", "output.html=None"]
    run([*other, "model=trained.model"])
    document = told()
    assert document["correction"]["predicted_r1"] > 0
    assert document["r1"]["predicted_errors"]["n"] > 200
    table = flex.reflection_table.from_file("corrected.refl")
    assert (table["ml_correction.sigma"].as_numpy_array() > 0).mean() > 0.5


def refusal(*args: str) -> list[str]:
    with pytest.raises(Sorry) as error:
        run([str(a) for a in args])
    assert not any(Path(".").iterdir()), "something was written"
    return str(error.value).splitlines()


@pytest.mark.slow
def test_references_that_do_not_fit_the_data(three):
    files = [*three["quartz"], *three["glycine"], "mode=validate"]
    (line,) = refusal(*files, "reference=quartz", "reference=paracetamol")
    assert line.startswith("Data set 2: its cell (5.0") and "fits no reference" in line
    line, *_ = refusal(*files, "reference=quartz")
    assert "different space groups" in line
    wanted = ("reference=quartz", "reference=glycine")
    (line,) = refusal(*files, *wanted, "reference=abiraterone")
    assert line.startswith("reference=abiraterone (") and "none of the 2" in line
    (line,) = refusal(*files[:-1], *wanted, "mode=apply")
    assert line.startswith("2 references are given, and mode=apply corrects one")
    (line,) = refusal(*three["quartz"], "shap=True")
    assert line == "shap=True needs mode=train or mode=validate"


@pytest.mark.slow
def test_scaled_data_show_integrated_intensities_too(data_folder):
    stem = data_folder / "quartz" / "scaled"
    run([f"{stem}.expt", f"{stem}.refl", "reference=quartz", "method=weights"])
    r1 = told()["r1"]
    integrated = r1["integrated_by_crystal"]["before"]
    scaled = r1["before"]["crystal"]
    assert integrated["n"] == scaled["n"] and integrated["r1"] != scaled["r1"]
    # The same from the table itself: means of profile-fitted values, one scale.
    run(
        [f"{stem}.expt", f"{stem}.refl", "reference=quartz", "intensity=profile"]
        + ["method=weights", "output.json=p", "output.html=None"]
        + ["output.experiments=p.expt", "output.reflections=p.refl"]
    )
    alone = told("p")["r1"]["integrated_by_crystal"]["before"]
    assert alone["r1"] == pytest.approx(integrated["r1"], abs=0.01)
    log = Path("dials.ml_correct.log").read_text(encoding="utf-8")
    joined = " ".join(log.split())
    told_r1 = re.search(
        r"after of scaled, (\S+) and (\S+) of integrated", joined
    ).groups()
    assert float(told_r1[0]) == pytest.approx(alone["r1"][0], abs=0.01)
