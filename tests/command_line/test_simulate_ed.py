"""dials.simulate_ed: whole runs, DIALS programs on what it writes, and bad input."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.command_line.simulate_ed import get_setup, phil_scope, run

FILES = {"simulated.expt", "simulated.refl"}
FILES |= {"dials.simulate_ed.json", "dials.simulate_ed.log"}
QUICK = ("structure=quartz", "n_crystals=4", "d_min=1.0", "nproc=1")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """A working folder of its own, and loggers as they were before."""
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in ("dials", "dxtbx")]
    before = [(logger, [*logger.handlers], logger.level) for logger in loggers]
    yield tmp_path
    for logger, handlers, level in before:
        logger.handlers = handlers
        logger.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a whole run as a user starts it."""
    folder = tmp_path_factory.mktemp("finished")
    program(
        folder,
        "dials.simulate_ed",
        *("structure=paracetamol", "n_crystals=5", "d_min=1.4", "scan_width=50"),
        *("thickness.median=500", "noise.extra_error=0.05", "nproc=2"),
    )
    return folder


def located(name: str) -> str:
    """A program that was installed beside this Python, or else one on the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else name


def program(folder: Path, *command: str) -> str:
    """Run a program in a folder and insist on success."""
    done = subprocess.run(
        [located(command[0]), *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


def column(name: str, table: str = "simulated.refl") -> np.ndarray:
    return flex.reflection_table.from_file(table)[name].as_numpy_array()


@pytest.mark.slow
def test_document_tells_what_was_simulated(finished):
    assert {path.name for path in finished.iterdir()} >= FILES
    document = json.loads((finished / "dials.simulate_ed.json").read_text())
    assert document["command"] == "dials.simulate_ed"
    assert {"version", "dials_version", "parameters"} <= set(document)
    assert document["input"]["crystals"] == 5 and document["input"]["images"] == 250
    structure = document["structure"]
    assert structure["space_group"] == "P c a b" and structure["centrosymmetric"]
    assert structure["unit_cell_contents"] == {"C": 64, "H": 72, "N": 8, "O": 16}
    table = flex.reflection_table.from_file(str(finished / "simulated.refl"))
    assert document["input"]["observations"] == len(table) > 1500
    experiments = ExperimentList.from_file(
        str(finished / "simulated.expt"), check_format=False
    )
    assert len(experiments.detectors()) == len(experiments.beams()) == 1
    for index, crystal in enumerate(document["crystals"]):
        own = table.select(table["id"] == index)
        assert crystal["identifier"] == experiments[index].identifier
        assert crystal["reflections"] == len(own)
        assert crystal["thickness"] == pytest.approx(own["truth.thickness"][0])
        assert crystal["scale"] == pytest.approx(own["truth.scale"][0])
        assert 0.02 < crystal["r1_dynamical"] < 0.5
    assert len({crystal["thickness"] for crystal in document["crystals"]}) == 5
    assert 0.03 < document["merged"]["r1_dynamical"] < 0.5
    assert len(document["shells"]) == 10
    log = (finished / "dials.simulate_ed.log").read_text()
    assert "Multiple scattering alone gives merged amplitudes with R1 = " in log
    parts = ("Summary", "Tables", "What to do next")
    places = [log.index(f"\n{part}\n-") for part in parts]
    assert places == sorted(places)
    assert "C64 H72 N8 O16" in log


@pytest.mark.slow
def test_dials_programs_take_it_as_measured_data(finished):
    program(finished, "dials.show", "simulated.expt", "simulated.refl")
    told = program(
        *(finished, "dials.scale", "simulated.expt", "simulated.refl", "model=KB"),
        *("nproc=1", "output.html=None"),
    )
    assert "Summary of merging statistics" in told
    scaled = flex.reflection_table.from_file(str(finished / "scaled.refl"))
    # The rest are outliers: multiple scattering goes beyond the counting errors.
    assert scaled.get_flags(scaled.flags.scaled).count(True) > 0.85 * len(scaled)
    program(finished, "dials.export", "scaled.expt", "scaled.refl", "format=shelx")
    assert len((finished / "dials.hkl").read_text().splitlines()) > 1500
    program(finished, "dials.export", "scaled.expt", "scaled.refl", "format=mtz")
    program(finished, "dials.report", "scaled.expt", "scaled.refl")
    assert (finished / "dials.report.html").stat().st_size > 10_000
    program(
        *(finished, "dials.compare_images", "scaled.expt", "scaled.refl"),
        *("output.html=None", "matching.top=3"),
    )
    compared = json.loads((finished / "dials.compare_images.json").read_text())
    assert compared["input"]["radiation"] == "electrons"
    assert compared["n_matches"] > 20


def test_a_random_compound_is_kept_and_is_what_was_simulated():
    options = ("n_crystals=2", "d_min=1.2", "wave=kinematic", "nproc=1", "seed=5")
    run(["structure=random", "random.volume=300,500", *options])
    first = column("intensity.kinematic.value")
    files = {path.name for path in Path(".").iterdir()}
    assert files == FILES | {"simulated.cif"}
    run(["structure=simulated.cif", *options, "output.reflections=again.refl"])
    again = column("intensity.kinematic.value", "again.refl")
    np.testing.assert_allclose(again, first, rtol=1e-3, atol=1e-3 * first.max())


@pytest.mark.slow
def test_seed_and_not_nproc_decides(models_in):
    for nproc, name in ((1, "one"), (2, "two")):
        names = (f"output.reflections={name}.refl", f"output.experiments={name}.expt")
        run([*QUICK[:3], f"nproc={nproc}", *names])
    assert Path("one.refl").read_bytes() == Path("two.refl").read_bytes()
    assert models_in("one.expt") == models_in("two.expt")
    run([*QUICK, "seed=1"])
    assert Path("simulated.refl").read_bytes() != Path("one.refl").read_bytes()


@pytest.mark.slow
def test_without_multiple_scattering_only_noise_is_left():
    run([*QUICK, "wave=kinematic", "noise.counting=False", "noise.image_spread=0"])
    table = flex.reflection_table.from_file("simulated.refl")
    assert "intensity.dynamical.value" not in table and "truth.thickness" not in table
    document = json.loads(Path("dials.simulate_ed.json").read_text())
    assert document["merged"]["r1_dynamical"] == pytest.approx(0, abs=1e-9)
    assert document["merged"]["r1_observed"] == pytest.approx(0, abs=1e-6)
    assert document["crystals"][0]["thickness"] is None


@pytest.mark.slow
def test_dead_time_weakens_strong_spots():
    run([*QUICK, "wave=kinematic", "noise.dead_time=1e-4", "noise.mean_counts=1e5"])
    recorded, expected = column("truth.recorded"), column("truth.expected")
    # How long a spot lasts matters too: not the strongest alone lose most.
    some = expected > 1
    assert np.corrcoef(np.log(expected[some]), recorded[some])[0, 1] < -0.5
    noise = column("intensity.prf.value") - expected * recorded
    np.testing.assert_allclose(noise, column("truth.counting_noise"), atol=1e-6)
    assert (
        "dead time of the detector takes up to"
        in Path("dials.simulate_ed.log").read_text()
    )


@pytest.mark.slow
def test_every_parameter_arrives():
    changes = """
        voltage = 300
        mosaicity = 0.1
        tilt_spread = 5
        exposure = 0.5
        wave = kinematic
        absorption = 0.07
        thickness { median = 300
          spread = 0.1
          within = 0.2
          n_within = 3
          slab = True }
        beams { s_max = 0.02
          s_window = 0.015
          g_max = 1.5
          mosaic = True }
        noise { mean_counts = 200
          background = 2
          scale_spread = 0.4
          image_spread = 0.2
          extra_error = 0.3
          dead_time = 1e-6
          counting = False }
    """
    import iotbx.phil

    setup = get_setup(phil_scope.fetch(iotbx.phil.parse(changes)).extract())
    assert setup.wavelength == pytest.approx(0.01969, abs=1e-5)  # 300 kV
    assert (setup.mosaicity, setup.tilt_spread, setup.exposure) == (0.1, 5, 0.5)
    assert setup.wave == "kinematic"
    assert vars(setup.thickness) == {
        **{"median": 300, "spread": 0.1, "within": 0.2, "n_within": 3, "slab": True}
    }
    beams = vars(setup.selection)
    assert (beams["s_max"], beams["s_window"], beams["g_max"]) == (0.02, 0.015, 1.5)
    assert (beams["absorption"], beams["mosaicity"]) == (0.07, 0.1)
    assert vars(setup.noise) == {
        **{"mean_counts": 200, "background": 2, "scale_spread": 0.4},
        **{"image_spread": 0.2, "extra_error": 0.3, "dead_time": 1e-6},
        "counting": False,
    }
    given = phil_scope.fetch(iotbx.phil.parse("wavelength=0.03")).extract()
    assert get_setup(given).wavelength == 0.03
    # The published wavelengths at 200 and 80 kV.
    assert get_setup(phil_scope.extract()).wavelength == pytest.approx(
        0.02508, abs=1e-5
    )
    low = phil_scope.fetch(iotbx.phil.parse("voltage=80")).extract()
    assert get_setup(low).wavelength == pytest.approx(0.04176, abs=1e-5)


def test_every_parameter_is_documented():
    for definition in phil_scope.all_definitions():
        leaf = definition.object
        assert leaf.type is not None, definition.path
        if leaf.type.phil_type in ("float", "int"):
            assert leaf.type.value_min is not None, definition.path
        if definition.path != "output.log":
            assert leaf.help and leaf.help.strip().endswith("."), definition.path


CIF = """data_x
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
 _atom_site_label
 _atom_site_type_symbol
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_U_iso_or_equiv
C1 C 0.1 0.1 0.1 0.02
"""


@pytest.mark.parametrize(
    "arguments,told",
    [
        ([], "no structure given; give structure=file"),
        (["quartz"], "did you mean structure=quartz?"),
        (["structure=quarz"], "no such file, and no built-in structure"),
        (["structure=paracetmol"], "did you mean paracetamol?"),
        (["structure=bad.cif"], "atom X1 is of type Xx"),
        (["structure=ion.cif"], "atom X1 is of type Fe9+"),
        (["structure=near.cif"], "C1 and C2 are 0.05 Å apart"),
        (["structure=huge.cif"], "needs matrices of"),
        (["structure=good.cif", "cif_block=y"], "no structure is called y"),
        (["structure=quartz", "d_min=0.2"], "d_min element is less than the minimum"),
        (["structure=quartz", "d_min=10"], "No reflection to 10 Å"),
        (["structure=quartz", "thickness.median=0"], "must be positive, not 0.0 Å"),
        (["structure=quartz", "thickness.median=-3"], "less than the minimum"),
        (["structure=quartz", "beams.s_max=0.001"], "s_window=0.01, s_max=0.001"),
        (["structure=quartz", "image_width=90"], "has no image"),
        (
            ["structure=quartz", "thickness.slab=True", "scan_width=178"],
            "A plate cannot be turned",
        ),
        (["structure=good.cif", "output.json=good.cif"], "would overwrite an input"),
        (["structure=quartz", "output.reflections=no/a.refl"], "no such folder"),
        (["structure=quartz", "output.experiments=a.json"], "must end in .expt"),
        (["structure=random", "random.space_group=Q"], "Unknown space group: Q"),
        (["structure=quartz", "dask.scheduler=there"], "not an address"),
        (
            ["structure=quartz", "wave=other"],
            "wave=other: choose dynamical or kinematic",
        ),
        (["structure=quartz", "seed=-1"], "seed element is less than the minimum"),
        (["structure=quartz", "thickness.median=nan"], "cannot be nan"),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(arguments, told):
    good = CIF.format(a=5)
    texts = {
        "good.cif": good,
        "bad.cif": good + "X1 Xx 0.5 0.5 0.5 0.02\n",
        "ion.cif": good + "X1 Fe9+ 0.5 0.5 0.5 0.02\n",
        "near.cif": good + "C2 C 0.11 0.1 0.1 0.02\n",
        "huge.cif": CIF.format(a=200),
    }
    for name, text in texts.items():
        Path(name).write_text(text)
    with pytest.raises(Sorry) as error:
        run([*arguments, "nproc=1"])
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert {p.name: p.read_text() for p in Path(".").iterdir()} == texts


@pytest.mark.slow
def test_all_problems_at_once_and_exit_status_one(own_folder):
    done = subprocess.run(
        [
            located("dials.simulate_ed"),
            "structure=no.cif",
            "thickness.median=0",
            "nproc=1",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no.cif: no such file" in done.stderr
    assert "The thickness must be positive" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [*own_folder.iterdir()]
