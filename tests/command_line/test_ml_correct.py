"""dials.ml_correct: whole runs, DIALS programs on what it writes, and bad input."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx import mtz
from scitbx import matrix

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.tables import corrected_table
from dials_spread.correction.features.all_features import features_of
from dials_spread.correction.model.card import Card
from dials_spread.correction.model.general import TreeModel, pack
from dials_spread.correction.model.model_file import read_model, write_model
from dials_spread.correction.model.tree_model import (
    average,
    default_regressor,
    fit_two_models,
    reflection_rows,
    target_amplitudes,
)
from dials_spread.correction.validate.learning import new_regressor
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.observations.correction_state import correction_state
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.structures.structure_files import read_structure, write_cif

FILES = {"corrected.expt", "corrected.refl"}
FILES |= {f"dials.ml_correct.{ending}" for ending in ("log", "json", "html")}


def column(table, name: str) -> np.ndarray:
    return table[name].as_numpy_array()


def read(name) -> flex.reflection_table:
    return flex.reflection_table.from_file(str(name))


def told() -> dict:
    return json.loads(Path("dials.ml_correct.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files_of(folder) -> list[str]:
    return [f"{folder}/integrated.{ending}" for ending in ("expt", "refl")]


@pytest.fixture
def quartz(data_folder) -> list[str]:
    stem = data_folder / "quartz" / "integrated"
    return [f"{stem}.expt", f"{stem}.refl"]


@pytest.mark.slow
def test_a_whole_run_with_a_reference(quartz, data_folder):
    run([*quartz, f"reference={data_folder}/structures/quartz.cif", "method=weights"])
    assert {p.name for p in Path(".").iterdir()} == FILES
    document = told()
    assert document["command"] == "dials.ml_correct"
    assert document["input"]["observations"] == 1547
    assert document["correction"]["method"] == "weights"
    assert not document["correction"]["lorentz_applied_here"]
    before, after = (document["r1"][key]["merged"] for key in ("before", "after"))
    # The two hands: what is published for quartz is h,k,l, and no other comes near.
    settings = document["reference"]["settings"]
    assert [s["operator"] for s in settings] == ["h,k,l", "-h,-k,l"]
    assert settings[0]["r1"] == pytest.approx(before["r1"]) and before["n"] == 292
    assert settings[1]["r1"] > 0.5
    assert document["reference"]["believed"]
    assert 0.2 < after["r1"] < before["r1"] < 0.26
    log = Path("dials.ml_correct.log").read_text(encoding="utf-8")
    assert "Agreement is no proof" in log and "h,k,l" in log
    verdict = log.split("\nSummary\n-------\n")[1].split("\n\n")[0].replace("\n", " ")
    assert verdict == document["verdict"]["headline"]
    assert verdict.startswith("NO CERTAIN IMPROVEMENT: R1 against kinematic Fc of q")
    assert (
        log.index("R_meas") < log.index("\nTables\n") < log.index("\nWhat to do next\n")
    )
    shells = document["merging_statistics"]["before"]["by_shell"]
    assert sum(shell["n_unique"] for shell in shells) == 292
    advice = log.split("\nWhat to do next\n")[1]
    assert "\n    dials.scale corrected.expt corrected.refl\n" in advice
    page = Path("dials.ml_correct.html").read_text(encoding="utf-8")
    plots = ("before_after", "factors", "changes", "images_r1", "amplitudes", "wilson")
    for name in (*plots, "n_z", "r_by_shell", "cc_half", "most_changed"):
        assert f'id="{name}"' in page


@pytest.mark.slow
def test_a_reference_alone_is_compared_with_and_changes_nothing(quartz):
    """Neither a model is trained nor is a number of the table another one."""
    run([*quartz, "output.html=None", "output.json=None"])
    without = read("corrected.refl")
    run([*quartz, "reference=quartz", "output.html=None"])
    assert not Path("trained.model").exists()
    np.testing.assert_array_equal(
        column(read("corrected.refl"), "ml_correction"),
        column(without, "ml_correction"),
    )
    document = told()
    assert document["parameters"]["mode"].count("*apply") == 1
    assert document["r1"]["before"]["merged"]["n"] == 292


@pytest.mark.slow
def test_two_compounds_are_told_by_their_files(data_folder):
    quartz, glycine = (files_of(data_folder / name) for name in ("quartz", "glycine"))
    with pytest.raises(Sorry) as error:
        run([*quartz, *glycine])
    lines = str(error.value).splitlines()
    assert lines[0].startswith(
        "The crystals have 2 different space groups: P 1 21/n 1 ("
    )
    for name in (quartz[0], glycine[0]):
        assert f"({name})" in lines[0]
    assert "run each compound on its own" in lines[0]
    assert not any(Path(".").iterdir())


@pytest.mark.slow
def test_what_is_in_the_table_and_back(quartz, data_folder):
    run([*quartz, "method=weights", "output.html=None"])
    given, made = read(quartz[1]), read("corrected.refl")
    assert len(given) == len(made) and correction_state(made) == "corrected"
    c = column(made, "ml_correction")
    assert np.ptp(c) > 0.5
    for kind in ("prf", "sum"):
        value = column(given, f"intensity.{kind}.value")
        offset = column(made, f"ml_correction.offset.{kind}")
        assert 0 < np.count_nonzero(offset) < 0.1 * len(offset)
        np.testing.assert_array_equal(
            column(made, f"intensity.{kind}.value"), c * value + offset
        )
    for name in ("flags", "id", "partiality", "lp"):
        np.testing.assert_array_equal(column(made, name), column(given, name))
    assert list(made["miller_index"]) == list(given["miller_index"])
    again = ["output.experiments=b.expt", "output.reflections=b.refl"]
    with pytest.raises(Sorry, match="corrected already"):
        run(["corrected.expt", "corrected.refl", *again])
    run(["corrected.expt", "corrected.refl", "undo=True"])
    restored = read("uncorrected.refl")
    assert set(restored.keys()) == set(given.keys())
    assert restored.as_msgpack() == given.as_msgpack()
    with pytest.raises(Sorry, match="integrated.refl: not corrected, there is nothing"):
        run([*quartz, "undo=True", "output.reflections=c.refl"])


@pytest.mark.slow
def test_strength_0_is_nothing_and_a_half_is_the_root(quartz):
    factors = {}
    for strength in ("0", "0.5", "1"):
        run([*quartz, "method=weights", f"strength={strength}", "output.html=None"])
        factors[strength] = column(read("corrected.refl"), "ml_correction")
    assert (factors["0"] == 1).all()
    np.testing.assert_allclose(factors["0.5"] ** 2, factors["1"], rtol=1e-12)


@pytest.mark.slow
def test_the_lorentz_factor_that_is_missing(data_folder):
    stem = data_folder / "abiraterone" / "integrated"
    files = [f"{stem}.expt", f"{stem}.refl"]
    run([*files, "method=weights", "strength=0", "output.html=None"])
    assert told()["correction"]["lorentz_applied_here"]
    experiments = ExperimentListFactory.from_json_file(files[0], check_format=False)
    made = read("corrected.refl")
    c = column(made, "ml_correction")
    rows = np.flatnonzero(c != 1)[::400]
    assert len(rows) > 20
    expected = []
    for row in rows.tolist():
        e = experiments[made["id"][row]]
        axis = matrix.col(e.goniometer.get_rotation_axis())
        s0 = matrix.col(e.beam.get_s0())
        angle = made["xyzcal.mm"][row][2]
        hkl = matrix.col(made["miller_index"][row])
        r = matrix.sqr(e.goniometer.get_setting_rotation()) * (
            matrix.sqr(e.goniometer.get_fixed_rotation())
            * (matrix.sqr(e.crystal.get_A()) * hkl)
        )
        r = r.rotate_around_origin(axis, angle)
        expected.append(abs(axis.cross(r).dot(s0.normalize())))
    ratio = c[rows] / np.array(expected)
    assert np.median(np.abs(ratio / np.median(ratio) - 1)) < 0.02
    run([*files, "method=weights", "strength=0", "lorentz=applied", "output.html=None"])
    assert (column(read("corrected.refl"), "ml_correction") == 1).all()


@pytest.mark.slow
def test_dials_scale_and_merge_give_the_corrected_amplitudes(quartz, monkeypatch):
    kept = []

    def spy(data, result, *rest, **choices):
        kept.append(result)
        return corrected_table(data, result, *rest, **choices)

    # Nothing is replaced: the result is looked at on its way into the table.
    monkeypatch.setattr("dials_spread.command_line.ml_correct.corrected_table", spy)
    run([*quartz, "method=weights", "output.html=None"])
    quiet = {"capture_output": True, "check": True}
    # As few parameters as it can have: the one of model=KB is free for a single sweep,
    # and sometimes runs away.
    options = ["model=physical", "physical.scale_interval=1000", "error_model=None"]
    options += [f"physical.{p}_correction=False" for p in ("decay", "absorption")]
    options += ["outlier_rejection=None", "full_matrix=False", "output.html=None"]
    subprocess.run(
        ["dials.scale", "corrected.expt", "corrected.refl", *options], **quiet
    )
    assert correction_state(read("scaled.refl")) == "corrected"
    merge = ["dials.merge", "scaled.expt", "scaled.refl", "output.html=None"]
    subprocess.run(merge, **quiet)
    arrays = mtz.object("merged.mtz").as_miller_arrays()
    mean = next(a for a in arrays if a.info().labels[0] == "IMEAN")
    found = {
        hkl: (i, s) for hkl, i, s in zip(mean.indices(), mean.data(), mean.sigmas())
    }
    result = kept[0]
    unique = result.subject.observations.unique_index.tolist()
    pairs = [
        (f**2, *found[tuple(h)]) for h, f in zip(unique, result.F) if tuple(h) in found
    ]
    wanted, merged, sigma = np.array(pairs).T
    assert len(pairs) == len(unique)
    strong = wanted > np.median(wanted)
    k = np.median(merged[strong] / wanted[strong])
    off = np.abs(merged / k - wanted)
    # dials.scale joins and sets aside a few observations that we keep, and otherwise.
    assert np.median(off / (sigma / k)) < 1
    assert np.corrcoef(wanted, merged)[0, 1] > 0.99


@pytest.mark.slow
def test_several_files_become_one(simulated, data_folder):
    one = ExperimentListFactory.from_json_file(
        str(simulated / "simulated.expt"), check_format=False
    )
    table = read(simulated / "simulated.refl")
    for k in (0, 1, 2):
        part = table.select(table["id"] == k)
        part["id"] = flex.int(len(part), 0)
        names = part.experiment_identifiers()
        for key in list(names.keys()):
            del names[key]
        names[0] = one[k].identifier
        one[k : k + 1].as_file(f"{k}.expt")
        part.as_file(f"{k}.refl")
    files = [f"{k}.{ending}" for k in (0, 1, 2) for ending in ("expt", "refl")]
    run([*files, "method=weights", "output.html=None"])
    joined = column(read("corrected.refl"), "ml_correction")
    whole = [str(simulated / f"simulated.{ending}") for ending in ("expt", "refl")]
    run([*whole, "method=weights", "output.html=None"])
    # Orientations differ in the last digits written, and weights hang on differences.
    np.testing.assert_allclose(
        joined, column(read("corrected.refl"), "ml_correction"), rtol=1e-6
    )


@pytest.mark.slow
def test_the_wrong_compound_is_told(quartz):
    run([*quartz, "method=weights", "output.html=None", "output.json=None"])
    with pytest.raises(Sorry, match="of another compound"):
        run([*quartz, "reference=glycine", "mode=apply"])


def small_general_model(thick: Path) -> None:
    """Write general.model, of few trees, from two halves of the crystals."""
    experiments = ExperimentListFactory.from_json_file(
        str(thick / "thick.expt"), check_format=False
    )
    table = read(thick / "thick.refl")
    tables = [table.select(table["id"] == k) for k in range(8)]
    sets, amplitudes = [], []
    for some in (slice(0, 4), slice(4, 8)):
        subject = get_subject(experiments[some], tables[some])
        sets.append(features_of(subject.prepared))
        amplitudes.append(true_amplitudes(subject.observations, tables[some]))

    def few_trees(loss, seed):
        return default_regressor(loss, seed, 20).set_params(max_iter=10)

    rng = np.random.default_rng(0)
    two = fit_two_models(sets, amplitudes, [0, 1], rng, few_trees)
    one = sets[0]
    rows = reflection_rows(one, average(one, two.bias, two.scatter))
    wrong = np.abs(one.E_k - target_amplitudes(one, amplitudes[0]))
    general = TreeModel(two, few_trees("squared_error", 0).fit(rows, wrong))
    write_model(pack(general, Card("small", "Of no use.", ())), "general.model")


@pytest.mark.slow
def test_a_general_model_gives_error_bars_and_expects_an_r1(thick):
    small_general_model(thick)
    files = [str(thick / "thick.expt"), str(thick / "thick.refl")]
    run([*files, "model=general.model", "reference=paracetamol", "output.html=None"])
    found = told()
    assert (
        found["correction"]["method"] == "model" and found["model"]["name"] == "small"
    )
    after, before = (found["r1"][key]["merged"]["r1"] for key in ("after", "before"))
    assert after < before  # it has seen the compound
    # Its errors are those of amplitudes that were not corrected.
    assert found["correction"]["predicted_r1"] == pytest.approx(before, rel=0.25)
    made = read("corrected.refl")
    c, su = column(made, "ml_correction"), column(made, "ml_correction.sigma")
    assert (su >= 0).all() and np.all(su <= c + 1e-12) and np.median(su / c) > 0.01
    assert (su[c == 1] == 0).all()
    log = Path("dials.ml_correct.log").read_text(encoding="utf-8")
    assert "expected error" in log and "Expected R1 against kinematic Fc" in log


def refusal(*args: str) -> str:
    with pytest.raises(Sorry) as error:
        run([str(a) for a in args])
    assert not FILES & {p.name for p in Path(".").iterdir()}, "something was written"
    return str(error.value)


def test_data_that_should_not_be_corrected(data_folder, quartz):
    stem = data_folder / "l_cysteine" / "20_integrated"
    files = (f"{stem}.expt", f"{stem}.refl", "allow_pickle=True")
    lines = refusal(*files, "method=weights").splitlines()
    assert lines[0].startswith("The data are of X-rays (wavelength 0.6889 Å)")
    assert lines[-1] == "force=True corrects them all the same"
    table = read(quartz[1])
    few = table.select(flex.bool(np.arange(len(table)) % 12 == 0))
    few.as_file("few.refl")
    told_of_few = refusal(quartz[0], "few.refl", "method=weights").splitlines()
    assert "unique reflections; 120 are needed" in told_of_few[0]
    assert told_of_few[1].startswith("The multiplicity is 1.")
    run([quartz[0], "few.refl", "method=weights", "force=True", "output.html=None"])
    warnings = told()["correction"]["warnings"]
    assert [w.split(":")[0] for w in warnings[:2]] == ["Forced", "Forced"]


def test_bad_models_and_references(quartz):
    Path("junk.model").write_bytes(b"no model")
    assert "junk.model: no usable model file" in refusal(*quartz, "model=junk.model")
    assert "uses no model" in refusal(*quartz, "model=junk.model", "method=weights")
    assert "no such file" in refusal(*quartz, "model=none.model")
    assert "no such file" in refusal(*quartz, "reference=none.cif", "method=weights")
    assert "would overwrite an input" in refusal(
        *quartz, f"output.reflections={quartz[1]}"
    )


@pytest.fixture(scope="module")
def thick(tmp_path_factory) -> Path:
    """Eight crystals of paracetamol with multiple scattering, as `thick.expt`, `.refl`."""
    folder = tmp_path_factory.mktemp("thick")
    experiments, table = simulate_experiments(
        read_structure("paracetamol"),
        np.random.default_rng(4),
        n_crystals=8,
        scan_width=50.0,
        d_min=1.3,
        wave="dynamical",
        thickness=ThicknessModel(median=500.0),
    )
    experiments.as_file(folder / "thick.expt")
    table.as_file(folder / "thick.refl")
    return folder


@pytest.mark.slow
def test_a_model_of_these_data_and_what_it_is_worth(thick, monkeypatch):
    # Fewer trees than by default: what is tested does not hang on them.
    monkeypatch.setattr("dials_spread.correction.validate.validation.CONTROL_TREES", 10)
    quick = partial(new_regressor, max_iter=25)
    for module in ("validation", "learning", "importance"):
        monkeypatch.setattr(
            f"dials_spread.correction.validate.{module}.new_regressor",
            lambda seed, **settings: quick(seed, **settings),
        )
    files = [str(thick / "thick.expt"), str(thick / "thick.refl")]
    run([*files, "reference=paracetamol", "mode=train", "output.merged=merged.hkl"])
    assert Path("merged.hkl").stat().st_size > 10_000
    assert {p.name for p in Path(".").iterdir()} == FILES | {
        "trained.model",
        "merged.hkl",
        "merged.ins",
    }
    scores = {
        (s["split"], s["method"]): s["r1"] for s in told()["validation"]["scores"]
    }
    for split in ("crystal", "reflection"):
        for control in ("resolution", "shuffled"):
            assert scores[split, control] > scores[split, "none"]
    # What other crystals of the compound tell is worth more than what physics does.
    assert scores["crystal", "model"] < scores["reflection", "model"]
    for simple in ("none", "amplitudes"):
        assert scores["reflection", "model"] < scores["reflection", simple]
    log = Path("dials.ml_correct.log").read_text(encoding="utf-8")
    verdict = log.split("\nSummary\n-------\n")[1].split("\n\n")[0].replace("\n", " ")
    assert "Reflections that the model had not seen (" in verdict
    advice = log.split("\nWhat to do next\n")[1]
    assert "merged.hkl is merged and needs no scaling" in " ".join(advice.split())
    assert read_model("trained.model").card.training[0].crystals == 8
    # The table is corrected by models that had not seen the reflection.
    assert told()["r1"]["after"]["merged"]["r1"] == pytest.approx(
        scores["reflection", "model"], abs=0.02
    )
    # The model serves as any other, and knows the answer of these data too well.
    output = [f"output.{n}={n}" for n in ("reflections", "experiments", "json", "log")]
    run([*files, "model=trained.model", "reference=paracetamol", *output])
    again = json.loads(Path("json").read_text(encoding="utf-8"))
    assert again["model"]["sha256"] == read_model("trained.model").checksum
    assert again["r1"]["after"]["merged"]["r1"] < scores["reflection", "model"] + 0.01


def test_training_that_makes_no_sense(quartz):
    assert "mode=train fits to a reference" in refusal(*quartz, "mode=train")
    wrong = (*quartz, "reference=quartz", "mode=validate")
    assert "leave out model= and method=" in refusal(*wrong, "method=weights")
    assert "or neither" in refusal(*wrong, "train.crystals=0:1")
    ranges = ("train.crystals=0:1", "test.crystals=0:1")
    assert "in common" in refusal(*wrong, *ranges)


TWO = """data_wrong
_cell_length_a 7
_cell_length_b 8
_cell_length_c 9
_cell_angle_alpha 90
_cell_angle_beta 100
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1 21/c 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
C1 C 0.1 0.2 0.3 0.03
"""


@pytest.mark.parametrize(
    "more, why",
    [
        ([], "several structures, choose one with cif_block=: wrong, right"),
        (["cif_block=wrong"], "two.cif is of another compound"),
        (["cif_block=x"], "no structure is called x; there are: wrong, right"),
        (["cif_block=wrong", "cif_block=right"], "is given 2 times for 1 reference"),
    ],
)
def test_a_block_that_does_not_serve_is_refused(quartz, more, why):
    Path("two.cif").write_text(TWO + write_cif(read_structure("quartz"), "right"))
    with pytest.raises(Sorry, match=why) as told:
        run([*quartz, "reference=two.cif", "nproc=1", *more])
    assert "\n" not in str(told.value)
    assert {p.name for p in Path(".").iterdir()} == {"two.cif"}


def test_a_block_without_a_reference_is_refused(quartz):
    with pytest.raises(Sorry, match="give reference=my.cif too"):
        run([*quartz, "cif_block=x"])


def test_one_of_two_structures_is_the_reference(quartz):
    Path("two.cif").write_text(TWO + write_cif(read_structure("quartz"), "right"))
    given = [*quartz, "method=weights", "nproc=1", "output.html=None"]
    found = []
    for more in (["reference=two.cif", "cif_block=right"], ["reference=quartz"]):
        run([*given, *more])
        found.append(json.loads(Path("dials.ml_correct.json").read_text())["r1"])
    before = [f["before"]["merged"]["r1"] for f in found]
    assert before[0] == pytest.approx(before[1], abs=1e-4)
