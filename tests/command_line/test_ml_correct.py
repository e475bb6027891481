"""dials.ml_correct: whole runs, DIALS programs on what it writes, and bad input."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx import mtz
from scitbx import matrix

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.tables import corrected_table
from dials_spread.ml.columns import correction_state

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


@pytest.fixture
def quartz(data_folder) -> list[str]:
    stem = data_folder / "quartz" / "integrated"
    return [f"{stem}.expt", f"{stem}.refl"]


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
    page = Path("dials.ml_correct.html").read_text(encoding="utf-8")
    for name in ("factors", "changes", "crystals_r1", "images_r1", "amplitudes"):
        assert f'id="{name}"' in page


def test_what_is_in_the_table_and_back(quartz, data_folder):
    run([*quartz, "method=weights", "output.html=None"])
    given, made = read(quartz[1]), read("corrected.refl")
    assert len(given) == len(made) and correction_state(made) == "corrected"
    c = column(made, "ml_correction")
    assert np.ptp(c) > 0.5
    for kind in ("prf", "sum"):
        value = column(given, f"intensity.{kind}.value")
        np.testing.assert_array_equal(
            column(made, f"intensity.{kind}.value"), c * value
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
    with pytest.raises(Sorry, match="nothing to undo"):
        run([*quartz, "undo=True", "output.reflections=c.refl"])


def test_strength_0_is_nothing_and_a_half_is_the_root(quartz):
    factors = {}
    for strength in ("0", "0.5", "1"):
        run([*quartz, "method=weights", f"strength={strength}", "output.html=None"])
        factors[strength] = column(read("corrected.refl"), "ml_correction")
    assert (factors["0"] == 1).all()
    np.testing.assert_allclose(factors["0.5"] ** 2, factors["1"], rtol=1e-12)


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


def test_dials_scale_and_merge_give_the_corrected_amplitudes(quartz, monkeypatch):
    kept = []

    def spy(data, result):
        kept.append(result)
        return corrected_table(data, result)

    # Nothing is replaced: the result is looked at on its way into the table.
    monkeypatch.setattr("dials_spread.command_line.ml_correct.corrected_table", spy)
    run([*quartz, "method=weights", "output.html=None"])
    quiet = {"capture_output": True, "check": True}
    options = ["model=KB", "KB.decay_correction=False", "outlier_rejection=None"]
    options += ["error_model=None", "full_matrix=False", "output.html=None"]
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
    wanted, merged, sigma = np.array(pairs)[result.factors.reached[: len(pairs)]].T
    assert len(pairs) == len(unique)
    strong = wanted > np.median(wanted)
    k = np.median(merged[strong] / wanted[strong])
    off = np.abs(merged / k - wanted)
    # dials.scale joins and sets aside a few observations that we keep, and otherwise.
    assert np.median(off / (sigma / k)) < 1
    assert np.corrcoef(wanted, merged)[0, 1] > 0.99


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
    np.testing.assert_allclose(joined, column(read("corrected.refl"), "ml_correction"))


def test_the_wrong_compound_is_told(quartz):
    run([*quartz, "method=weights", "output.html=None", "output.json=None"])
    with pytest.raises(Sorry, match="of another compound"):
        run([*quartz, "reference=glycine"])


def refusal(*args: str) -> str:
    with pytest.raises(Sorry) as error:
        run([str(a) for a in args])
    assert not FILES & {p.name for p in Path(".").iterdir()}, "something was written"
    return str(error.value)


def test_data_that_should_not_be_corrected(data_folder, quartz):
    stem = data_folder / "l_cysteine" / "20_integrated"
    lines = refusal(f"{stem}.expt", f"{stem}.refl", "method=weights").splitlines()
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
