"""dials.ml_correct structure=: a run from files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model import Scan
from dxtbx.model.experiment_list import ExperimentList
from iotbx import mtz

from dials_spread.command_line.ml_correct import run
from dials_spread.shelx import instructions
from dials_spread.structures.structure_files import read_structure, write_cif

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Two crystals of a random compound and its structure without one atom."""
    from dials_spread.scattering.thickness_model import ThicknessModel
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.noise import NoiseModel
    from dials_spread.simulation.structures import random_structure

    folder = tmp_path_factory.mktemp("with_structure")
    rng = np.random.default_rng(1)
    cell = (5.9, 7.1, 9.3, 90.0, 90.0, 90.0)
    structure = random_structure(rng, cell, "P 21 21 21")
    experiments, table = simulate_experiments(
        structure, rng, n_crystals=2, d_min=1.15, scan_width=50.0, wave="dynamical",
        noise=NoiseModel(mean_counts=5000.0),
        thickness=ThicknessModel(450.0, spread=0.2, within=0.0),
    )  # fmt: skip
    experiments.as_file(folder / "good.expt")
    table.as_file(folder / "good.refl")
    n = len(structure.scatterers())
    part = structure.select(flex.bool([i != 4 for i in range(n)]))
    (folder / "part.cif").write_text(write_cif(part, "part"))
    other = random_structure(np.random.default_rng(77), cell, "P 21 21 21")
    (folder / "other.cif").write_text(write_cif(other, "other"))
    return folder


def refused(*args) -> list[str]:
    with pytest.raises(Sorry) as told:
        run([str(x) for x in args])
    return str(told.value).splitlines()


def test_a_run_and_its_undoing(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [str(files / "good.expt"), str(files / "good.refl")]
    structure = f"structure={files / 'part.cif'}"
    written = ["output.merged=merged.mtz", "output.refined=again.res"]
    run([*given, structure, *written, "cycles=2", "refinement.peaks=7", "nproc=2"])
    check_refined(files / "part.cif")
    told = json.loads(Path("dials.ml_correct.json").read_text())["with_structure"]
    assert told["source"].endswith("part.cif")
    assert told["held_out"]["by_observation"]["n"] > 500
    assert 0 <= told["share_of_first_estimate"] <= 1
    assert len(told["crystals"]) == 2 and told["hands"]["observations"] > 500
    log = Path("dials.ml_correct.log").read_text()
    cycles = told["cycles"]
    assert 1 <= cycles["kept"] <= len(cycles["cycles"]) <= cycles["wanted"] == 2
    assert cycles["cycles"][0]["refinement"]["n_observations"] > 100
    for words in (
        "of 2 cycles of correction and refinement kept", "Highest peaks of Fo − Fc",
        "Cycles: Σ|ΔF|/ΣFo of observations set apart", "goodness of fit",
        "held-out observations are", "Absolute structure", "no independent test",
        "Thickness of the crystals", "share of the first estimate",
    ):  # fmt: skip
        assert words in " ".join(log.split())
    assert "With the provisional structure" in Path("dials.ml_correct.html").read_text()
    check_reflections(told, log)
    before = flex.reflection_table.from_file(given[1])
    after = flex.reflection_table.from_file("corrected.refl")
    name = "intensity.prf.value" if "intensity.prf.value" in before else None
    name = name or "intensity.sum.value"
    factor = after["ml_correction"].as_numpy_array()
    assert np.all(factor > 0) and np.ptp(factor) > 0.05
    run(["corrected.expt", "corrected.refl", "undo=True"])
    assert Path("dials.ml_correct.log").read_text() == log
    assert Path("dials.ml_correct.undo.log").is_file()
    back = flex.reflection_table.from_file("uncorrected.refl")
    np.testing.assert_array_equal(
        back[name].as_numpy_array(), before[name].as_numpy_array()
    )


def check_reflections(told: dict, log: str) -> None:
    """How much of each amplitude is the first estimate, in JSON, log and merged .mtz."""
    columns = told["reflections"]
    n = len(columns["h"])
    assert n > 100 and all(len(column) == n for column in columns.values())
    share, F = (
        np.array(columns[name]) for name in ("share_of_first_estimate", "F_second")
    )
    assert np.average(share, weights=F) == pytest.approx(
        told["share_of_first_estimate"], abs=1e-4
    )
    assert sum(columns["undetermined"]) == told["undetermined"] > 0
    assert "Undetermined reflections" in log
    hkl = list(zip(columns["h"], columns["k"], columns["l"]))
    (written,) = (
        a for a in mtz.object("merged.mtz").as_miller_arrays()
        if a.info().labels == ["FIRST_SHARE"]
    )  # fmt: skip
    found = dict(zip(hkl, share))
    assert written.size() == n
    for index, value in zip(written.indices(), written.data()):
        assert value == pytest.approx(found[index], abs=1e-4)


def check_refined(given: Path) -> None:
    """The refined structure, its intensities and its CIF, as they were written."""
    told = json.loads(Path("dials.ml_correct.json").read_text())["with_structure"]
    refined = told["refined"]
    start = read_structure(str(given))
    for name in ("again.res", "again.cif"):
        again = read_structure(name)
        assert again.scatterers().size() == start.scatterers().size()
        assert again.space_group() == start.space_group()
    text = Path("again.res").read_text()
    assert f"{refined['r1_all']:.4f} for all {refined['n_observations']} data" in text
    high = [p for p in refined["peaks"] if p["in_sigma"] > 4]
    assert text.count("\nQ") == len(high) and len(refined["peaks"]) == 7
    lines = Path("again.hkl").read_text().splitlines()
    assert (
        sum(x.split()[:3] != ["0", "0", "0"] for x in lines if x.strip())
        >= (refined["n_observations"])
    )
    log = " ".join(Path("dials.ml_correct.log").read_text().split())
    assert (
        f"R1 {refined['r1_strong']:.3f} for {refined['n_strong']:,} reflections" in log
    )


def test_structures_that_are_not_of_the_crystals(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = (files / "good.expt", files / "good.refl")
    (line,) = refused(*given, f"structure={files / 'other.cif'}")
    assert "other.cif does not agree with the data better than chance: R1 " in line
    assert "with h,k,l" in line
    (line,) = refused(*given, "structure=quartz")
    assert "quartz is of another compound" in line and "cannot be brought onto" in line
    (line,) = refused(*given, "structure=none.cif")
    assert line.startswith("structure=none.cif: no such file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            "undo=True",
            "undo=True restores the original intensities; leave out structure=",
        ),
        ("mode=validate", "structure= corrects, and mode=validate does not"),
        ("method=weights", "structure= starts from amplitudes with expected errors"),
        ("output.refined=my.txt", "output.refined=my.txt must end with .res or .ins"),
        ("output.refined_cif=my.res", "output.refined_cif=my.res must end with .cif"),
        ("output.refined=part.cif", "output.refined=part.cif must end with .res"),
    ],
)
def test_parameters_that_contradict_it(files, tmp_path, monkeypatch, more, told):
    monkeypatch.chdir(tmp_path)
    lines = refused(
        files / "good.expt",
        files / "good.refl",
        f"structure={files / 'part.cif'}",
        more,
    )
    assert any(line.startswith(told) for line in lines)
    assert not list(tmp_path.iterdir())


def test_refined_files_need_a_structure_and_overwrite_none(
    files, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = (files / "good.expt", files / "good.refl")
    (line,) = refused(*given, "cycles=2")
    assert line == "cycles=2 takes a structure to refine; give structure= too"
    (line,) = refused(*given, "output.refined=my.res")[:1]
    assert (
        line == "output.refined=my.res takes a structure to refine; give structure= too"
    )
    part = read_structure(str(files / "part.cif"))
    Path("refined.res").write_text(
        instructions(part.crystal_symmetry(), 0.025, structure=part)
    )
    (line,) = refused(*given, "structure=refined.res", "cycles=2")
    assert line == "output.refined=refined.res would overwrite an input"
    names = ["output.merged=a.hkl", "output.refined=a.ins", "output.refined_hkl=None"]
    (line,) = refused(*given, "structure=refined.res", *names)
    assert (
        line
        == "output.refined=a.ins is also the name of the file beside output.merged=a.hkl"
    )
    assert [x.name for x in tmp_path.iterdir()] == ["refined.res"]


def test_stills(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiments = ExperimentList.from_file(files / "good.expt", check_format=False)
    for experiment in experiments:
        first, last = experiment.scan.get_array_range()
        experiment.scan = Scan((first + 1, last), (0.0, 0.0))
    experiments.as_file("stills.expt")
    structure = f"structure={files / 'part.cif'}"
    (line,) = refused("stills.expt", files / "good.refl", structure)
    assert "structure= needs crystals that rotate: 2 of 2 are stills" in line


def test_xrays(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stem = data_folder / "l_cysteine" / "20_integrated"
    given = (f"{stem}.expt", f"{stem}.refl", "structure=glycine", "allow_pickle=True")
    for more in ([], ["force=True"]):
        (line,) = refused(*given, *more)
        assert "multiple scattering of electrons: the data are of X-rays" in line


def test_a_structure_that_is_solved(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [str(data_folder / "quartz" / f"integrated.{x}") for x in ("expt", "refl")]
    run([*given, "structure=solve", "output.composition=Si O2", "nproc=2"])
    told = json.loads(Path("dials.ml_correct.json").read_text())["with_structure"]
    solved = told["solved"]
    assert solved["by_composition"] and solved["solved"] and solved["n_starts"] == 20
    # The data are given in one of an enantiomorphic pair, and were of the other one.
    assert solved["mirror_image"] is (told["hands"]["z"] > 3)
    log = " ".join(Path("dials.ml_correct.log").read_text().split())
    assert "Structure: solved from the amplitudes of the first correction" in log
    assert "refined.res and refined.hkl hold the refined structure" in log
    atoms = read_structure("refined.res").scatterers()
    assert sorted(s.scattering_type for s in atoms) == ["O", "Si"]
    assert Path("refined.cif").is_file() and Path("corrected.refl").is_file()


def test_what_does_not_solve_is_corrected_without(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stem = data_folder / "abiraterone" / "integrated"
    given = [f"{stem}.expt", f"{stem}.refl"]
    run([*given, "structure=solve", "solution.starts=2", "nproc=2"])
    log = " ".join(Path("dials.ml_correct.log").read_text().split())
    assert "The structure could not be solved here: no map of 2 random starts" in log
    assert "The correction is that without a structure" in log
    assert "with_structure" not in json.loads(Path("dials.ml_correct.json").read_text())
    assert not Path("refined.res").exists()
    solved = flex.reflection_table.from_file("corrected.refl")["ml_correction"]
    run([*given, "nproc=2"])
    plain = flex.reflection_table.from_file("corrected.refl")["ml_correction"]
    np.testing.assert_array_equal(solved.as_numpy_array(), plain.as_numpy_array())


def test_a_composition_is_read_before_anything_else(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [files / "good.expt", files / "good.refl", "structure=solve"]
    told = refused(*given, "output.composition=C 8 ?")
    assert len(told) == 1 and "cannot be read" in told[0]
    assert not list(tmp_path.glob("*.refl"))


def test_one_atom_of_five_is_doubted(data_folder, tmp_path, monkeypatch):
    """C2 of glycine alone: observations agree a little better, and it is no structure."""
    monkeypatch.chdir(tmp_path)
    stem = data_folder / "glycine" / "integrated"
    structure = read_structure("glycine")
    names = [s.label for s in structure.scatterers()]
    one = structure.select(flex.bool([name == "C2" for name in names]))
    Path("one.cif").write_text(write_cif(one, "one"))
    run([f"{stem}.expt", f"{stem}.refl", "structure=one.cif", "nproc=1"])
    document = json.loads(Path("dials.ml_correct.json").read_text())
    told = " ".join(document["correction"]["warnings"])
    assert "one.cif is incomplete or wrong: R1 0.68" in told
    assert "Thickness at the upper end of the range" in told
    log = " ".join(Path("dials.ml_correct.log").read_text().split())
    assert "did not converge" in log and "correct again with the refined one" not in log
    assert document["with_structure"]["crystals"][0]["at_end_of_range"] == "upper"
