"""Merged files are read back by other readers: own columns, iotbx and, where it is, gemmi."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cctbx import sgtbx, xray
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx import mtz
from iotbx.shelx import hklf

from dials_spread.correction import correct_intensities
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.merged_files import (
    check_merged,
    merged_files,
    merged_intensities,
)


@pytest.fixture(scope="module")
def subjects(data_folder):
    """Quartz, and glycine in P2/m, that is without its glide plane."""
    found = {}
    for name, symbol in (("quartz", None), ("glycine", "P 1 2/m 1")):
        stem = data_folder / name / "integrated"
        experiments = ExperimentListFactory.from_json_file(
            str(stem.with_suffix(".expt")), check_format=False
        )
        if symbol:
            for experiment in experiments:
                group = sgtbx.space_group_info(symbol).group()
                experiment.crystal.set_space_group(group)
        table = flex.reflection_table.from_file(str(stem.with_suffix(".refl")))
        tables = [
            table.select(table["id"] == n).copy() for n in range(len(experiments))
        ]
        found[name] = get_subject(experiments, tables, [0] * len(tables), nproc=1)
    return found


@pytest.fixture(scope="module")
def results(subjects):
    """By name and strength, without a model."""
    return {
        (name, strength): correct_intensities(
            subject,
            strength=strength,
            reference=name if name == "quartz" else None,
            nproc=1,
        )
        for name, subject in subjects.items()
        for strength in (0.0, 0.5, 1.0)
    }


CASES = [("quartz", 0.0), ("quartz", 1.0), *(("glycine", s) for s in (0.0, 0.5, 1.0))]


def outputs(merged, composition=None):
    return SimpleNamespace(merged=str(merged), composition=composition)


def columns(text: str) -> tuple[np.ndarray, ...]:
    """3I4, 2F8.2 by column; a decimal point in a field overrules the two decimals."""
    lines = text.splitlines()
    assert {len(line) for line in lines} == {32}
    assert [float(lines[-1][k : k + 4]) for k in (0, 4, 8)] == [0, 0, 0]
    hkl = [[int(line[k : k + 4]) for k in (0, 4, 8)] for line in lines[:-1]]
    I, sigma = ([float(x[k : k + 8]) for x in lines[:-1]] for k in (12, 20))
    return np.array(hkl), np.array(I), np.array(sigma)


@pytest.mark.parametrize("key", CASES)
def test_hkl_keeps_small_and_negative_values(results, key, tmp_path):
    array = merged_intensities(results[key])
    made = merged_files(results[key], outputs(tmp_path / "m.hkl"))
    text = made.contents[str(tmp_path / "m.hkl")].decode("ascii")
    factor = made.figures["factor"]
    hkl, I, sigma = columns(text)
    np.testing.assert_array_equal(hkl, np.array(list(array.indices())))
    for found, given in ((I, array.data()), (sigma, array.sigmas())):
        expected = given.as_numpy_array() * factor
        np.testing.assert_allclose(found, expected, atol=0.0051)
        small = np.abs(expected) < 0.099
        np.testing.assert_allclose(found[small], expected[small], atol=5.1e-6)
    assert (sigma > 0).all()
    assert (I < 0).sum() == (array.data() < 0).count(True)
    reader = hklf.reader(io.StringIO(text))
    (again,) = reader.as_miller_arrays(
        crystal_symmetry=array.crystal_symmetry(), merge_equivalents=False
    )[:1]
    np.testing.assert_allclose(again.data(), I)
    np.testing.assert_allclose(again.sigmas(), sigma)
    # The factor is said, and it fills the field.
    assert f"multiplied by {factor:g} " in made.sentences[0]
    assert 9e3 < np.abs([I, sigma]).max() < 1e5


def test_negative_intensities_at_strength_nought_are_the_mean(results):
    """And at strength 1 what was found; between, between."""
    none, half, whole = (results["glycine", s] for s in (0.0, 0.5, 1.0))
    merged = none.subject.prepared.merged
    assert (merged < 0).sum() > 10
    I = [merged_intensities(r).data().as_numpy_array() for r in (none, half, whole)]
    np.testing.assert_allclose(I[0], merged, rtol=1e-12)
    np.testing.assert_allclose(I[2], whole.estimate.F**2, rtol=1e-12)
    negative = merged < 0
    np.testing.assert_allclose(I[1][negative], (I[0] + I[2])[negative] / 2)
    np.testing.assert_allclose(I[1][~negative], np.sqrt(I[0] * I[2])[~negative])


@pytest.mark.parametrize("key", CASES)
def test_mtz_is_labelled_as_by_dials_merge(results, key, tmp_path):
    array = merged_intensities(results[key])
    (content,) = merged_files(results[key], outputs("m.mtz")).contents.values()
    path = tmp_path / "m.mtz"
    path.write_bytes(content)
    read = mtz.object(str(path))
    assert [c.label() for c in read.columns()] == ["H", "K", "L", "IMEAN", "SIGIMEAN"]
    (again,) = read.as_miller_arrays()
    wavelength = read.crystals()[-1].datasets()[0].wavelength()
    assert wavelength == pytest.approx(0.02508, abs=2e-5)
    np.testing.assert_allclose(again.data(), array.data(), rtol=1e-6)
    np.testing.assert_allclose(again.sigmas(), array.sigmas(), rtol=1e-6)
    assert str(again.space_group_info()) == str(array.space_group_info())
    gemmi = pytest.importorskip("gemmi")
    other = gemmi.read_mtz_file(str(path))
    assert other.datasets[-1].wavelength == pytest.approx(0.02508, abs=2e-5)
    column = other.column_with_label("IMEAN")
    assert column.type == "J"
    np.testing.assert_allclose(np.array(column), array.data(), rtol=1e-6)


@pytest.mark.parametrize(
    "name, composition, Z, unit",
    [
        ("quartz", None, 3, {"Si": 3, "O": 6}),
        ("quartz", "Si O2", 3, {"Si": 3, "O": 6}),
        ("glycine", "C2H5NO2", 4, {"C": 8, "H": 20, "N": 4, "O": 8}),
        ("glycine", "N 1 O 2 C 2 H 5", 4, {"N": 4, "O": 8, "C": 8, "H": 20}),
        ("glycine", "C4 H10 N2 O4", 2, {"C": 8, "H": 20, "N": 4, "O": 8}),
    ],
)
def test_instructions_beside(results, tmp_path, name, composition, Z, unit):
    result = results[name, 1.0]
    made = merged_files(result, outputs(tmp_path / "m.hkl", composition))
    text = made.contents[str(tmp_path / "m.ins")].decode("ascii")
    words = [line.split() for line in text.splitlines()]
    cards = {w[0]: w[1:] for w in words}
    cell = result.subject.prepared.measured.unit_cell.parameters()
    np.testing.assert_allclose([float(x) for x in cards["CELL"][1:]], cell, atol=1e-4)
    assert float(cards["CELL"][0]) == pytest.approx(0.02508, abs=2e-5)
    assert float(cards["ZERR"][0]) == Z
    sfac = [w[1] for w in words if w[0] == "SFAC"]
    assert dict(zip(sfac, map(float, cards["UNIT"]))) == unit
    assert [w for w in words if w[0] == "HKLF"] == [["HKLF", "4"]]
    # Electron form factors: f(0) of silicon is 5.83 Å, of oxygen 1.98 Å.
    f0 = {
        w[1]: sum(map(float, [*w[2:8:2], first[0], first[2]]))
        for w, first in zip(words, words[1:])
        if w[0] == "SFAC"
    }
    expected = {"Si": 5.83, "O": 1.98, "C": 2.51, "N": 2.21, "H": 0.53}
    assert f0 == pytest.approx({e: expected[e] for e in sfac}, rel=0.02)
    end = text.replace("END", "C1 1 0.1 0.2 0.3 11 0.05\nEND")
    end = end.replace("HKLF 4\n", "").replace("END", "HKLF 4\nEND")
    with_atom = xray.structure.from_shelx(file=io.StringIO(_plain(end)))
    group = result.subject.prepared.measured.space_group
    assert with_atom.space_group() == group


def _plain(text: str) -> str:
    """With SFAC as elements alone, which the reader of cctbx understands."""
    joined = text.replace("=\n", " ")
    lines = joined.splitlines()
    elements = [x.split()[1] for x in lines if x.startswith("SFAC")]
    kept = [x for x in lines if not x.startswith(("SFAC", "REM"))]
    place = next(n for n, x in enumerate(kept) if x.startswith("UNIT"))
    return (
        "\n".join([*kept[:place], f"SFAC {' '.join(elements)}", *kept[place:]]) + "\n"
    )


def test_no_elements_no_instructions(results, tmp_path):
    made = merged_files(results["glycine", 1.0], outputs(tmp_path / "m.hkl"))
    assert [*made.contents] == [str(tmp_path / "m.hkl")]
    assert "m.ins is not written: SFAC and UNIT need output.composition" in "".join(
        made.sentences
    )


def test_instructions_of_somebody_else_are_kept(results, tmp_path):
    (tmp_path / "m.ins").write_text("TITL mine\n")
    made = merged_files(results["quartz", 1.0], outputs(tmp_path / "m.hkl"))
    assert [Path(name).name for name in made.contents] == ["m.hkl"]
    assert "not made by this program" in made.sentences[-1]
    (tmp_path / "m.ins").write_text("TITL dials.ml_correct m\n")
    made = merged_files(results["quartz", 1.0], outputs(tmp_path / "m.hkl"))
    assert [Path(name).name for name in made.contents] == ["m.hkl", "m.ins"]


@pytest.mark.parametrize(
    "merged, composition, why",
    [
        (None, "C H4", "is not asked for"),
        ("a.hkl", "C Xx4", "Xx is no element"),
        ("a.hkl", "CO2 ?", "cannot be read from"),
        ("a.hkl", "H 2", "no atom but hydrogen"),
        ("a.txt", None, "must end with .hkl or .mtz"),
    ],
)
def test_bad_choices_are_refused_first(merged, composition, why):
    output = SimpleNamespace(merged=merged, composition=composition)
    params = SimpleNamespace(
        output=output, undo=False, mode="apply", reference=[], structure=None
    )
    with pytest.raises(ValueError, match=why):
        check_merged(params)


def test_a_glide_plane_is_missed_in_measured_data(subjects):
    """P2₁/n of glycine, measured with electrons, given as P2/m; and quartz is complete."""
    (told,) = (w for w in subjects["glycine"].warnings if "near zero" in w)
    assert "h0l with h + l odd" in told and "n glide plane perpendicular to b" in told
    assert not any("near zero" in w for w in subjects["quartz"].warnings)
