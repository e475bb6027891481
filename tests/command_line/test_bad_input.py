"""Bad input: one clear line for each problem, nothing written, no traceback."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from cctbx import sgtbx
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList
from scitbx import matrix


def spoil(good, **columns):
    """Write the good table as bad.refl with other columns; None takes one out."""
    for name, column in columns.items():
        if column is None:
            del good.table[name]
        else:
            good.table[name] = column
    good.table.as_file("bad.refl")


def test_missing_files_and_folders_are_all_told(good, refused):
    Path("folder.refl").mkdir()
    assert refused("no.expt", "none.expt", "folder.refl") == [
        "no.expt: no such file",
        "none.expt: no such file",
        "folder.refl: a folder, not a file",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission_to_read(good, refused):
    Path(good.refl).chmod(0)
    assert refused(good.expt, good.refl) == ["good.refl: Permission denied"]


def test_files_that_fail_while_they_are_read(good, refused, monkeypatch):
    def fail(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", fail)
    assert refused(good.expt, good.refl) == [
        "good.expt: Permission denied",
        "good.refl: Permission denied",
    ]


@pytest.mark.parametrize("length", [0, 1, 10, 100, 10_000, -1])
def test_truncated_files(good, refused, length):
    for name in (good.expt, good.refl):
        path = Path(name)
        path.write_bytes(path.read_bytes()[:length])
    told = refused(good.expt, good.refl)
    assert [line.split(":")[0] for line in told] == ["good.expt", "good.refl"]
    why = "the file is empty" if length == 0 else "damaged or not written by DIALS"
    assert all(f"cannot be read, {why}" in line for line in told)


def test_the_place_of_a_fault_is_told_without_the_words_of_python(good, refused):
    Path("bad.expt").write_text('{"__id__": "ExperimentList",\n"crystal" []}')
    assert refused("bad.expt", good.refl) == [
        "bad.expt: cannot be read, damaged or not written by DIALS (line 2, character 11)"
    ]


def test_one_kind_of_files_with_nothing_beside_it(good, refused):
    Path(good.refl).rename("elsewhere.refl")
    assert refused(good.expt) == [
        f"no reflections given (.refl) that belong to {good.expt}"
    ]


@pytest.mark.parametrize(
    "content",
    [b'{"a": 1}', b"[1]", b"hello\n", b"\x89PNG\r\n\x1a\n\xff\xfe", b"(dp0\n."],
)
def test_files_of_another_kind(good, refused, content):
    Path("other.expt").write_bytes(content)
    Path("other.refl").write_bytes(content)
    told = refused("other.expt", "other.refl")
    assert [line.split(":")[0] for line in told] == ["other.expt", "other.refl"]


def test_experiments_and_reflections_under_each_others_names(good, refused):
    shutil.copy(good.expt, "other.refl")
    shutil.copy(good.refl, "other.expt")
    assert len(refused("other.expt", "other.refl")) == 2


def test_no_experiments_in_the_list(good, refused):
    ExperimentList().as_file("bad.expt")
    assert refused("bad.expt", good.refl) == ["bad.expt: no experiments"]


@pytest.mark.parametrize("lacking", [[0, 1, 2], [1]])
def test_experiments_without_crystals(good, refused, lacking):
    for i in lacking:
        good.experiments[i].crystal = None
    good.experiments.as_file("bad.expt")
    assert refused("bad.expt", good.refl) == [
        f"bad.expt: {len(lacking)} of 3 experiments have no crystal; index first"
    ]


def test_experiments_without_a_beam(good, refused):
    for experiment in good.experiments:
        experiment.beam = None
    good.experiments.as_file("bad.expt")
    assert "without beam" in refused("bad.expt", good.refl)[0]


def test_tables_without_what_is_needed(good, refused):
    n = len(good.table)
    spoil(good, miller_index=flex.miller_index(n, (0, 0, 0)), id=flex.int(n, -1))
    indices = "bad.refl: no Miller indices; index and integrate first"
    assert refused(good.expt, "bad.refl") == [
        indices,
        "bad.refl: no reflection belongs to an experiment",
    ]
    spoil(good, miller_index=None, flags=None, **{"intensity.prf.variance": None})
    spoil(good, **dict.fromkeys(("xyzcal.px", "xyzcal.mm", "xyzobs.px.value")))
    assert refused(good.expt, "bad.refl")[0] == indices
    assert refused(good.expt, "bad.refl")[2:] == [
        "bad.refl: no intensity.prf.variance",
        "bad.refl: no positions (xyzcal.px, xyzcal.mm, xyzobs.px.value)",
        "bad.refl: no flags",
    ]
    for kind in ("prf", "sum"):
        spoil(good, **{f"intensity.{kind}.value": None})
    assert "bad.refl: no integrated intensities" in refused(good.expt, "bad.refl")
    good.table.select(flex.bool(n, False)).as_file("bad.refl")
    assert refused(good.expt, "bad.refl") == ["bad.refl: no reflections"]


def test_extents_without_bounding_boxes(good, refused):
    spoil(good, bbox=None)
    told = refused(good.expt, "bad.refl", "assign=extent")
    assert told == ["assign=extent: a reflection table has no bbox"]


def test_identifiers_that_do_not_match(good, refused):
    names = good.table.experiment_identifiers()
    for i in [*names.keys()]:
        del names[i]
        names[i] = f"another {i}"
    good.table.as_file("bad.refl")
    told = "bad.refl: the experiments of these reflections are missing"
    assert refused(good.expt, "bad.refl") == [told]


def test_files_given_twice(good, refused):
    files = (good.expt, good.refl, f"./{good.expt}", good.refl)
    assert refused(*files) == ["good.expt: given 2 times", "good.refl: given 2 times"]


def test_copies_of_one_half_of_the_input(good, refused):
    shutil.copy(good.expt, "copy.expt")
    shutil.copy(good.refl, "copy.refl")
    assert "the same identifiers" in refused(good.expt, good.refl, "copy.expt")[0]
    assert refused(good.expt, good.refl, "copy.refl") == [
        "copy.refl: a second table for 3 of the experiments"
    ]


def test_different_space_groups(good, refused):
    group = sgtbx.space_group_info("P1").group()
    good.experiments[1].crystal.set_space_group(group)
    good.experiments.as_file("bad.expt")
    assert refused("bad.expt", good.refl)[0].startswith(
        "The crystals have 2 different space groups: P 1 (bad.expt), P 21 21 21 (bad."
    )


def test_wildly_different_cells(good, refused):
    crystal = good.experiments[1].crystal
    crystal.set_A(matrix.sqr(crystal.get_A()) * 0.8)
    good.experiments.as_file("bad.expt")
    assert (
        "cell of crystal 1 in bad.expt (9.12, 12.75"
        in refused("bad.expt", good.refl)[0]
    )


def test_electrons_and_xrays_in_one_run(good, refused):
    beam = copy.deepcopy(good.experiments[0].beam)  # the three share one
    beam.set_wavelength(0.7)
    good.experiments[2].beam = beam
    good.experiments.as_file("bad.expt")
    # At that wavelength the detector does not reach the reflections.
    good.table.select(good.table["id"] < 2).as_file(good.refl)
    assert (
        "radiation are given together: X-rays (bad.expt), electrons"
        in refused("bad.expt", good.refl)[0]
    )


def test_mixed_scaled_and_unscaled_tables(good, refused):
    for i in range(2):
        good.experiments[i : i + 1].as_file(f"{i}.expt")
        table = good.table.select(good.table["id"] == i)
        table.reset_ids()
        if i:
            for name in ("value", "variance"):
                table[f"intensity.scale.{name}"] = table[f"intensity.prf.{name}"]
            table["inverse_scale_factor"] = flex.double(len(table), 1)
        table.as_file(f"{i}.refl")
    told = refused("0.expt", "0.refl", "1.expt", "1.refl")
    assert told[0].startswith(
        "Scaled and unscaled reflections are mixed: 1.refl is scaled, 0.refl is not. "
    )


def test_scaled_intensities_of_unscaled_data(good, refused):
    told = refused(good.expt, good.refl, "intensity=scale")
    assert told == [
        f"{good.refl}: no intensities for intensity=scale; it has profile, sum"
    ]


def test_no_image_with_enough_spots(good, refused):
    told = refused(good.expt, good.refl, "matching.min_common=1000")
    assert told[0].startswith(
        "Fewer than two images have 1000 reflections; the richest"
    )


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.0, np.inf])
def test_no_variance_that_serves(good, refused, value):
    spoil(good, **{"intensity.prf.variance": flex.double(len(good.table), value)})
    told = refused(good.expt, "bad.refl")
    n = len(good.table)
    assert f"(variance not positive and finite: {n})" in told[0]
