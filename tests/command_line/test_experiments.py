"""dials.ml_correct of precession, and of stills of electrons: recognised, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dials.util import Sorry
from dxtbx.model import Experiment
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.command_line import import_pets, ml_correct, simulate_ed
from dials_spread.valid_input.columns import PRECESSION

IMPORTED = ("imported.expt", "imported.refl")
SEMI = 0.9  # [°], of the lists
CELL = (5.0, 7.0, 9.0)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rotation(degrees: float) -> np.ndarray:
    """About x, right-handed."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def write_narrow() -> dict:
    """
    Write frames of 0.2°, narrower than the rocking curves, each with its own part.

    The curves are Gaussians of 0.003 Å⁻¹ in the excitation error, of the area |F|².
    """
    return write_list(precession=False, semi="0.1", width=0.003)


def write_list(
    precession: bool, semi: str = f"{SEMI}", width: float | None = None
) -> dict:
    """
    Write a list of one crystal as PETS2 does, without noise, of known |F|².

    Frames are 0.4° apart. With precession an intensity is |F|² / (|g| √(1 - x²)), where x
    is the excitation error over |g| sin of the semi-angle; without it, |F|² over the rate.
    """
    rng = np.random.default_rng(4)
    alpha, K = np.arange(-30, 30, 0.2 if width else 0.4), 1 / 0.0251
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    ub = turn @ np.diag(1 / np.array(CELL))
    hkl = np.mgrid[-5:6, -7:8, -9:10].reshape(3, -1).T
    hkl = hkl[np.any(hkl != 0, axis=1)]
    squared = {tuple(np.abs(h)): rng.exponential(1000) + 50 for h in hkl}
    lines, frames = [], []
    for number, tilt in enumerate(alpha, 1):
        setting = rotation(tilt) @ ub
        g = hkl @ setting.T
        length = np.linalg.norm(g, axis=1)
        s = g[:, 2] - length**2 / (2 * K)
        across = length if precession else np.abs(g[:, 1])
        x = s / (across * np.sin(np.radians(SEMI)))
        if width:
            for k in np.flatnonzero(np.abs(s) < 3 * width):
                value = squared[tuple(np.abs(hkl[k]))] * np.exp(-((s[k] / width) ** 2))
                h = " ".join(map(str, hkl[k]))
                lines.append(f"{h} {value:.3f} {1 + value / 50:.3f} {number}")
            x[:] = np.inf
        for k in np.flatnonzero((np.abs(x) < 1.5) & (across > 0.1 * length)):
            shape = 1 / np.sqrt(max(1 - x[k] ** 2, 0.1)) if precession else 1.0
            if abs(x[k]) > 1:
                shape = 0.05
            value = squared[tuple(np.abs(hkl[k]))] * shape / across[k]
            h = " ".join(map(str, hkl[k]))
            lines.append(f"{h} {value:.3f} {1 + value / 50:.3f} {number}")
        uvw = setting.T @ [0, 0, 1]
        zone = " ".join(f"{u:.6f}" for u in uvw)
        frames.append(f"{number} {zone} {semi} {tilt:.3f} 0 0 1")
    head = ["data_made", "_diffrn_radiation_wavelength 0.0251"]
    head += [
        f"_diffrn_orient_matrix_UB_{i + 1}{j + 1} {ub[i, j]:.7f}"
        for i in range(3)
        for j in range(3)
    ]
    kind = "precession" if precession else "continuous rotation"
    head += [
        "_diffrn_measurement_details",
        ";",
        f"data collection geometry: {kind}",
        ";",
    ]
    names = ("id", "u", "v", "w", "precession_angle", "alpha", "beta", "omega", "scale")
    head += ["loop_", *(f"_diffrn_zone_axis_{k}" for k in names), *frames]
    names = ("index_h", "index_k", "index_l", "intensity_meas", "intensity_sigma")
    head += ["loop_", *(f"_refln_{k}" for k in (*names, "zone_axis_id")), *lines]
    Path("made.cif_pets").write_text("\n".join(head) + "\n", encoding="utf-8")
    import_pets.run(["made.cif_pets", "space_group=P222"])
    return squared


def spread_of(squared: dict) -> tuple[float, dict]:
    """Relative spread of corrected intensities over |F|², and the JSON of the run."""
    table = flex.reflection_table.from_file("corrected.refl")
    hkl = np.abs(np.array(table["miller_index"]).reshape(-1, 3))
    true = np.array([squared[tuple(h)] for h in hkl])
    ratio = table["intensity.sum.value"].as_numpy_array() / true
    found = json.loads(Path("dials.ml_correct.json").read_text(encoding="utf-8"))
    low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
    return (high - low) / middle, found["correction"]


def warnings_of(found: dict) -> str:
    """All warnings."""
    return " ".join(found["warnings"])


@pytest.mark.slow
def test_precession_is_carried_from_pets_to_its_lorentz_factor():
    squared = write_list(precession=True)
    table = flex.reflection_table.from_file(IMPORTED[1])
    assert np.allclose(table[PRECESSION].as_numpy_array(), SEMI)
    log = " ".join(Path("dials.import_pets.log").read_text("utf-8").split())
    assert "Precession by 0.90°" in log
    plain = ["strength=0", "output.html=None", "d_min=None"]
    ml_correct.run([*IMPORTED, *plain])
    spread, found = spread_of(squared)
    assert spread < 0.05
    assert found["experiment"]["kind"] == "precession"
    assert found["experiment"]["precession_angle"] == pytest.approx(SEMI)
    assert found["lorentz_applied_here"] and "Lorentz" not in warnings_of(found)
    log = " ".join(Path("dials.ml_correct.log").read_text("utf-8").split())
    assert "The Lorentz factor of single frames with precession, by 0.90°" in log
    # As a rotation, it is wrong, and that is told.
    ml_correct.run([*IMPORTED, *plain, "experiment=rotation"])
    spread, found = spread_of(squared)
    assert spread > 0.5 and found["experiment"]["kind"] == "rotation"
    assert "Lorentz factor of precession than with that of a rotation" in warnings_of(
        found
    )
    # Without the column, the angle can be given.
    del table[PRECESSION]
    table.as_file("without.refl")
    given = ["experiment=precession", f"precession_angle={SEMI}"]
    ml_correct.run([IMPORTED[0], "without.refl", *plain, *given])
    assert spread_of(squared)[0] < 0.05
    with pytest.raises(Sorry, match="needs the semi-angle") as no:
        ml_correct.run([IMPORTED[0], "without.refl", given[0]])
    assert len(str(no.value).splitlines()) == 1
    with pytest.raises(Sorry, match="contradict each other"):
        ml_correct.run([*IMPORTED, "experiment=stepwise", given[1]])
    with pytest.raises(Sorry, match="structure= simulates rotations") as no:
        ml_correct.run([*IMPORTED, "structure=quartz", "force=True"])
    assert len(str(no.value).splitlines()) == 1
    with pytest.raises(Sorry, match="rotations alone are simulated"):
        simulate_ed.run([*IMPORTED, "structure=quartz"])
    # Where a factor is in the intensities already, that of precession is not multiplied in.
    ml_correct.run([*IMPORTED, *plain, "lorentz=applied"])
    log = " ".join(Path("dials.ml_correct.log").read_text("utf-8").split())
    assert "that of single frames with precession was not" in log
    assert not spread_of(squared)[1]["lorentz_applied_here"]
    # The model corrects it, and says what it was trained on.
    ml_correct.run([*IMPORTED, "output.html=None", "strength=0.5"])
    log = " ".join(Path("dials.ml_correct.log").read_text("utf-8").split())
    assert "The model was trained on rotations without precession" in log


@pytest.mark.slow
def test_a_rotation_stays_one():
    squared = write_list(precession=False)
    assert PRECESSION not in flex.reflection_table.from_file(IMPORTED[1])
    how = ["strength=0", "output.html=None", "d_min=None"]
    for kind in ("rotation", "stepwise"):
        said = ["experiment=stepwise"] if kind == "stepwise" else []
        ml_correct.run([*IMPORTED, *how, *said])
        spread, found = spread_of(squared)
        assert spread < 0.05
        assert found["experiment"]["kind"] == kind
        assert "Lorentz" not in warnings_of(found)
    ml_correct.run([*IMPORTED, *how, f"precession_angle={SEMI}"])
    assert "experiment=rotation says that it did not" in warnings_of(
        spread_of(squared)[1]
    )


@pytest.mark.slow
def test_parts_on_narrow_frames_are_summed():
    squared = write_narrow()
    log = " ".join(Path("dials.import_pets.log").read_text("utf-8").split())
    assert "Intensities are summed over the frames of each crossing" in log
    table = flex.reflection_table.from_file(IMPORTED[1])
    how = ["strength=0", "output.html=None", "d_min=None", "force=True"]
    ml_correct.run([*IMPORTED, *how, "experiment=stepwise"])
    spread, found = spread_of(squared)
    assert spread < 0.1 and found["experiment"]["kind"] == "stepwise"
    # One row of each crossing, and none without them.
    import_pets.run(["made.cif_pets", "space_group=P222", "sum_frames=False"])
    single = flex.reflection_table.from_file(IMPORTED[1])
    ml_correct.run([*IMPORTED, *how])
    assert spread_of(squared)[0] > 0.3
    twice = {*zip(single["miller_index"], np.round(single["zeta"], 1))}
    assert 0.8 * len(twice) < len(table) < 2 * len(twice)


def test_precession_without_an_angle_is_told():
    write_list(precession=True, semi="?")
    table = flex.reflection_table.from_file(IMPORTED[1])
    assert np.all(np.isnan(table[PRECESSION].as_numpy_array()))
    assert "give dials.ml_correct precession_angle=" in " ".join(
        Path("dials.import_pets.log").read_text("utf-8").split()
    )
    with pytest.raises(Sorry, match="semi-angle is not known") as no:
        ml_correct.run([*IMPORTED])
    assert len(str(no.value).splitlines()) == 1


@pytest.mark.parametrize("way", ["no scan", "zero width"])
def test_stills_of_electrons_with_lp_are_refused(way, data_folder):
    (whole,) = ExperimentList.from_file(
        str(data_folder / "quartz" / "integrated.expt"), check_format=False
    )
    scan = None
    if way == "zero width":
        scan = whole.scan
        scan.set_oscillation((0.0, 0.0))
    still = Experiment(
        beam=whole.beam, detector=whole.detector, crystal=whole.crystal, scan=scan,
        goniometer=whole.goniometer if scan else None, identifier=whole.identifier,
    )  # fmt: skip
    ExperimentList([still]).as_file("stills.expt")
    table = flex.reflection_table.from_file(
        str(data_folder / "quartz" / "integrated.refl")
    )
    assert "lp" in table
    table.as_file("stills.refl")
    with pytest.raises(Sorry, match="1 of 1 crystals are stills") as no:
        ml_correct.run(["stills.expt", "stills.refl"])
    assert len(str(no.value).splitlines()) == 1
    assert not Path("corrected.refl").exists()
