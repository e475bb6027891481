"""dials.simulate_ed with measured files, and with charges."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

from dials_spread.command_line.compare_images import run as compare_images
from dials_spread.command_line.simulate_ed import run
from dials_spread.input_files import read_files
from dials_spread.rfactor import r_factor
from dials_spread.thickness.tables import COLUMNS

QUICK = (
    "measured.range=20,1400",
    "measured.d_min=0.8",
    "measured.law=wedge",
    "nproc=2",
)


@pytest.fixture(scope="module")
def quartz(data_folder, tmp_path_factory):
    """A run on the measured crystal of quartz."""
    folder = tmp_path_factory.mktemp("quartz")
    files = [
        str(data_folder / "quartz" / f"scaled.{kind}") for kind in ("expt", "refl")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run([*files, "structure=quartz", *QUICK])
    return folder, files


def read(folder, name="simulated"):
    expt, refl = (str(folder / f"{name}.{kind}") for kind in ("expt", "refl"))
    experiments = ExperimentListFactory.from_json_file(expt, check_format=False)
    return experiments, flex.reflection_table.from_file(refl)


@pytest.mark.slow
def test_rows_flags_and_identifiers_stay_and_columns_are_added(quartz):
    folder, files = quartz
    experiments, table = read(folder)
    original = flex.reflection_table.from_file(files[1])
    assert set(table.keys()) - set(original.keys()) == set(COLUMNS)
    assert dict(table.experiment_identifiers()) == dict(
        original.experiment_identifiers()
    )
    assert [e.identifier for e in experiments] == [
        *table.experiment_identifiers().values()
    ]
    for name in original.keys():
        assert list(table[name]) == list(original[name]), name
    for name in COLUMNS:
        assert np.isfinite(table[name].as_numpy_array()).all()
    simulated = (table["intensity.dynamical.variance"] >= 0).as_numpy_array()
    inside = (table["d"] >= 0.8).as_numpy_array()
    assert np.mean(simulated[inside]) > 0.99 and not simulated[~inside].any()


@pytest.mark.slow
def test_multiple_scattering_explains_measured_quartz(quartz):
    folder, _ = quartz
    document = json.loads((folder / "dials.simulate_ed.json").read_text())
    assert document["command"] == "dials.simulate_ed"
    measured = document["measured"]
    (crystal,) = measured["crystals"]
    assert 0.15 < crystal["r1_kinematic"] < 0.25
    assert crystal["r1_held_out"] < 0.8 * crystal["r1_held_out_kinematic"]
    assert crystal["r1"] < crystal["r1_other_hand"]
    assert 600 < crystal["thickness"] < 1100
    assert crystal["r1"] < 0.5 * crystal["r1_kinematic"]
    assert measured["setting"] == "h,k,l"
    r1 = {s["operator"]: s["r1"] for s in measured["settings"]}
    assert len(r1) == 2 and max(r1.values()) > 2 * min(r1.values())
    assert measured["explained"]["explained_share"] > 0.25
    assert measured["explained"]["control_share"] < 0.05
    assert document["charges"] is None


@pytest.mark.slow
def test_the_report_needs_no_network_and_says_what_was_found(quartz):
    folder, _ = quartz
    page = (folder / "dials.simulate_ed.html").read_text()
    assert "src=" not in page.split("<script>")[0]
    for text in ("R1 against thickness", "held-out", "explains", "measured.range"):
        assert text in page
    log = (folder / "dials.simulate_ed.log").read_text()
    assert "R1 dynamical" in log and "-h,-k,l" in log


@pytest.mark.slow
def test_compare_images_says_how_much_of_the_spread_is_explained(quartz, monkeypatch):
    folder, _ = quartz
    monkeypatch.chdir(folder)
    # With the error model left in σ outliers stay out, as in the other program.
    files = ["simulated.expt", "simulated.refl"]
    compare_images([*files, "raw_images=False", "spread.error_model=False"])
    document = json.loads((folder / "dials.compare_images.json").read_text())
    simulation = document["simulation"]
    measured = json.loads((folder / "dials.simulate_ed.json").read_text())["measured"]
    assert simulation["observations"] == measured["explained"]["observations"]
    share = measured["explained"]["explained_share"]
    assert simulation["explained_share"] == pytest.approx(share, abs=0.02)
    text = "Does multiple scattering explain the spread?"
    assert text in (folder / "dials.compare_images.log").read_text()
    assert "spread before and after" in (
        (folder / "dials.compare_images.html").read_text().lower()
    )


@pytest.mark.slow
def test_several_files_follow_one_another(data_folder, tmp_path, monkeypatch):
    """Two crystals in two files, given the wrong way round: both get their own."""
    monkeypatch.chdir(tmp_path)
    experiments = ExperimentListFactory.from_json_file(
        str(data_folder / "abiraterone" / "integrated.expt"), check_format=False
    )
    table = flex.reflection_table.from_file(
        str(data_folder / "abiraterone" / "integrated.refl")
    )
    for number, name in enumerate("ab"):
        ExperimentList([experiments[number]]).as_file(f"{name}.expt")
        part = table.select(table["id"] == number)
        part["id"] = flex.int(len(part), 0)
        identifiers = part.experiment_identifiers()
        for key in list(identifiers.keys()):
            del identifiers[key]
        identifiers[0] = experiments[number].identifier
        part.as_file(f"{name}.refl")
    files = ["a.expt", "b.expt", "b.refl", "a.refl"]
    options = ["measured.thickness=400", "measured.within=0.5", "measured.d_min=1.6"]
    run([*files, "structure=abiraterone", "measured.hand=False", *options])
    found, joined = read(tmp_path)
    sizes = [int((table["id"] == n).count(True)) for n in (0, 1)]
    assert [e.identifier for e in found] == [e.identifier for e in experiments[:2]]
    assert list(joined["id"]) == [1] * sizes[1] + [0] * sizes[0]
    original = table.select(table["id"] == 0)["miller_index"]
    assert list(joined.select(joined["id"] == 0)["miller_index"]) == list(original)
    names = dict(joined.experiment_identifiers())
    assert names == {n: experiments[n].identifier for n in (0, 1)}
    data = read_files(["simulated.expt"], ["simulated.refl"])
    assert [len(t) for t in data.tables] == sizes
    # The Lorentz factor is not in these intensities.
    lorentz = joined["simulation.lorentz"].as_numpy_array()
    assert np.ptp(lorentz) > 0.1
    document = json.loads((tmp_path / "dials.simulate_ed.json").read_text())
    assert document["measured"]["lorentz_applied_here"] is True
    assert {c["origin"] for c in document["measured"]["crystals"]} == {"given"}


@pytest.mark.slow
def test_published_dynamical_intensities_agree(data_folder, tmp_path, monkeypatch):
    """Jana2006 refined the same data; its dynamical intensities come near to these."""
    monkeypatch.chdir(tmp_path)
    folder = data_folder / "abiraterone"
    experiments = ExperimentListFactory.from_json_file(
        str(folder / "integrated.expt"), check_format=False
    )
    table = flex.reflection_table.from_file(str(folder / "integrated.refl"))
    ExperimentList([experiments[0]]).as_file("one.expt")
    table.select(table["id"] == 0).as_file("one.refl")
    options = ["measured.thickness=800", "measured.hand=False"]
    run(["one.expt", "one.refl", "structure=abiraterone", "nproc=2", *options])
    _, table = read(tmp_path)
    error = np.abs(table["jana.excitation_error"].as_numpy_array())
    known = (table["intensity.dynamical.variance"] >= 0).as_numpy_array()
    known &= error < 0.004
    column = {name: table[name].as_numpy_array()[known] for name in table.keys()
              if name.split(".")[0] in ("intensity", "jana", "simulation")}  # fmt: skip
    published = np.sqrt(column["jana.intensity_dyn"] * column["simulation.lorentz"])
    dynamical, kinematic = (
        r_factor(published, np.sqrt(column[f"intensity.{kind}.value"]))[0]
        for kind in ("dynamical", "kinematic")
    )
    assert len(published) > 300
    assert dynamical < 0.17 and dynamical < 0.8 * kinematic


@pytest.mark.slow
def test_charges_are_applied_compared_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["n_crystals=1", "d_min=1.5", "wave=kinematic", "nproc=1"]
    run(["structure=quartz", "charges=Si=+2 O=-1", *options])
    charged = read(tmp_path)[1]
    document = json.loads((tmp_path / "dials.simulate_ed.json").read_text())
    assert document["charges"]["charges"] == {"O1-": -1.0, "Si2+": 2.0}
    assert document["charges"]["largest"][0]["miller_index"] == [1, 0, 0]
    assert (
        "Charged and neutral atoms" in (tmp_path / "dials.simulate_ed.html").read_text()
    )
    run(["structure=quartz", *options, "output.html=None"])
    neutral = read(tmp_path)[1]
    assert list(charged["miller_index"]) == list(neutral["miller_index"])
    values = [
        t["intensity.kinematic.value"].as_numpy_array() for t in (charged, neutral)
    ]
    assert np.abs(values[0] / values[1] - 1).max() > 0.1
    assert "net charge" not in capsys.readouterr().out
    run(["structure=quartz", "charges=Si=+2", *options])
    assert "net charge of +6" in (tmp_path / "dials.simulate_ed.log").read_text()


@pytest.mark.parametrize(
    "options, message",
    [
        (["charges=Si=+5"], "Si5\\+ has no form factor"),
        (["charges=Na=+1"], "no atom or element is called Na"),
        (["charges=Si"], "not of the form Na=\\+1"),
        (["measured.range=900,20"], "no range to look for one"),
        (["measured.thickness=-5"], "measured.thickness"),
        (["structure=paracetamol"], "cannot be brought onto"),
        (["output.reflections={refl}"], "would overwrite an input"),
        (
            ["{xray}.expt", "{xray}.refl", "allow_pickle=True"],
            "was measured with X-rays|different",
        ),
    ],
)
def test_bad_input_is_told_in_a_line_and_nothing_is_written(
    data_folder, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    places = {
        "refl": str(data_folder / "quartz" / "scaled.refl"),
        "xray": str(data_folder / "l_cysteine" / "20_integrated"),
    }
    options = [option.format(**places) for option in options]
    files = [
        str(data_folder / "quartz" / f"scaled.{kind}") for kind in ("expt", "refl")
    ]
    if options[0].endswith(".expt"):
        files = []
    with pytest.raises(Sorry, match=message):
        run([*files, "structure=quartz", *options])
    assert list(tmp_path.iterdir()) == []
