"""The measured file of glycine, and what was made of it earlier by other means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.command_line import compare_images, import_pets, ml_correct
from dials_spread.orientation import setting_matrix


@pytest.fixture(scope="module")
def imported(data_folder, tmp_path_factory):
    """A folder with imported.expt and imported.refl."""
    folder = tmp_path_factory.mktemp("glycine")
    import_pets.run(
        [
            str(data_folder / "glycine" / "glycine.cif_pets"),
            "space_group=P21/n",
            *(f"output.experiments={folder}/imported.expt",),
            *(f"output.reflections={folder}/imported.refl",),
            f"output.log={folder}/import.log",
        ]
    )
    return folder


def read(folder, name):
    experiments = ExperimentListFactory.from_json_file(
        str(folder / f"{name}.expt"), check_format=False
    )
    return experiments, flex.reflection_table.from_file(str(folder / f"{name}.refl"))


def test_intensities_indices_and_frames_are_those_of_the_table(imported, data_folder):
    _, mine = read(imported, "imported")
    _, other = read(data_folder / "glycine", "integrated")
    assert len(mine) == len(other) == 9242
    assert (mine["miller_index"] == other["miller_index"]).all_eq(True)
    for kind in ("value", "variance"):
        for name in ("prf", "sum"):
            column = f"intensity.{name}.{kind}"
            assert flex.max(flex.abs(mine[column] - other[column])) < 1e-6
    frame = np.floor(other["xyzcal.px"].parts()[2].as_numpy_array()) + 1
    assert np.array_equal(mine["pets.frame"].as_numpy_array(), frame)
    z = mine["xyzcal.px"].parts()[2].as_numpy_array()
    assert np.array_equal(np.floor(z / 3) + 1, frame)


def test_the_beam_is_where_the_zone_axes_have_it(imported, data_folder):
    text = (data_folder / "glycine" / "glycine.cif_pets").read_text()
    lines = text.split("_diffrn_zone_axis_scale\n")[1].split("loop_")[0]
    axes = np.array([x.split()[1:4] for x in lines.splitlines() if x.strip()], float)
    assert len(axes) == 75
    (experiment,), table = read(imported, "imported")
    cell = experiment.crystal.get_unit_cell()
    ortho = np.array(cell.orthogonalization_matrix()).reshape(3, 3)
    s0 = np.array(experiment.beam.get_s0())
    z = np.unique(table["xyzcal.px"].parts()[2].as_numpy_array())
    for moment, uvw in zip(z, axes):
        beam = ortho @ (setting_matrix(experiment, moment).T @ s0)
        back = -ortho @ uvw
        sine = np.linalg.norm(np.cross(beam, back))
        assert np.degrees(np.arctan2(sine, beam @ back)) < 0.01


def test_the_log_says_what_is_nominal_and_what_cannot_be_told(imported):
    log = " ".join((imported / "import.log").read_text().split())
    for told in (
        "75 frames, 9242 reflections on them",
        "cell=header takes the other",
        "no rocking curve can tell whether the header is right",
        "are nominal",
        "No Lorentz factor is in the intensities",
    ):
        assert told in log


@pytest.mark.slow
def test_images_can_be_compared(imported, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    files = [str(imported / f"imported.{e}") for e in ("expt", "refl")]
    compare_images.run([*files, "image_width=0.73"])
    document = json.loads(Path("dials.compare_images.json").read_text())
    # One image for each frame.
    assert "75 images" in Path("dials.compare_images.log").read_text()
    assert document["command"] == "dials.compare_images"


@pytest.mark.slow
def test_the_correction_finds_the_missing_factor_and_as_good_an_r1(
    imported, data_folder, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    structure = data_folder / "structures" / "glycine.cif"
    found = {}
    for folder, name in (
        (imported, "imported"),
        (data_folder / "glycine", "integrated"),
    ):
        files = [str(folder / f"{name}.{e}") for e in ("expt", "refl")]
        ml_correct.run([*files, f"reference={structure}"])
        document = json.loads(Path("dials.ml_correct.json").read_text())
        assert document["correction"]["lorentz_applied_here"]
        r1 = document["r1"]
        found[name] = {k: r1[k]["merged"]["r1"] for k in ("before", "after")}
    assert found["imported"]["before"] == pytest.approx(
        found["integrated"]["before"], abs=0.005
    )
    assert found["imported"]["after"] == pytest.approx(
        found["integrated"]["after"], abs=0.005
    )


def test_what_dials_exports_comes_back(data_folder, monkeypatch, tmp_path):
    """Crossings of quartz, exported by DIALS, are where DIALS had predicted them."""
    pytest.importorskip("gemmi", reason="dials.export format=pets needs it")
    from dials.command_line import export

    monkeypatch.chdir(tmp_path)
    files = [str(data_folder / "quartz" / f"integrated.{e}") for e in ("expt", "refl")]
    export.run([*files, "format=pets", "intensity=profile"])
    import_pets.run(["dials_dyn.cif_pets", "space_group=P3121"])
    (mine,), table = read(tmp_path, "imported")
    (theirs,), original = read(data_folder / "quartz", "integrated")
    angles = {}
    for h, (_, _, z), value in zip(
        *(original["miller_index"], original["xyzcal.px"]),
        original["intensity.prf.value"],
    ):
        angle = theirs.scan.get_angle_from_array_index(z)
        angles[h, round(value, 1)] = angle
    differences = [
        mine.scan.get_angle_from_array_index(z) - angles[h, round(value, 1)]
        for h, z, value, s in zip(
            *(table["miller_index"], table["pets.crossing"]),
            *(table["intensity.prf.value"], table["pets.excitation_error"]),
        )
        if (h, round(value, 1)) in angles and abs(s) < 0.005
    ]
    assert len(differences) > 500
    assert np.median(np.abs(differences)) < 0.01
    assert np.percentile(np.abs(differences), 95) < 0.1
