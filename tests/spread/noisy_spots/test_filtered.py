"""Noisy spots set aside: nothing else changes, and the real dials.scale obeys."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dials.array_family import flex
from dials.util.filter_reflections import filter_reflection_table
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.observations import build_observations
from dials_spread.spread.noisy_spots.filtered import set_aside


def columns_of(table):
    return {
        name: table[name].as_numpy_array().copy()
        for name in table.keys()
        if name not in ("flags", "id", "bbox", "miller_index")
    }


def test_only_the_flag_of_noisy_rows_changes(read_measured):
    experiments, tables = read_measured("abiraterone/integrated")
    o = build_observations([*experiments], tables)
    before = [(columns_of(t), np.array(t["flags"]), list(t["id"])) for t in tables]
    noisy = np.random.default_rng(0).random(len(o)) < 0.03
    table = set_aside([*experiments], tables, o, noisy)
    assert len(table) == sum(map(len, tables))
    excluded = table.get_flags(table.flags.excluded_for_scaling).as_numpy_array()
    offset = np.cumsum([0] + [len(t) for t in tables])
    expected = np.zeros(len(table), dtype=bool)
    expected[offset[o.crystal[noisy]] + o.row[noisy]] = True
    np.testing.assert_array_equal(excluded, expected)
    flags = np.array(table["flags"]) & ~int(table.flags.excluded_for_scaling)
    np.testing.assert_array_equal(flags, np.concatenate([b[1] for b in before]))
    for name, values in columns_of(table).items():
        old = np.concatenate([b[0][name] for b in before])
        np.testing.assert_array_equal(values, old)
    assert [*table["miller_index"]] == [h for t in tables for h in t["miller_index"]]
    names = dict(table.experiment_identifiers())
    assert [names[i] for i in range(len(tables))] == [e.identifier for e in experiments]
    # The tables that were given are as they were.
    for t, (columns, old_flags, ids) in zip(tables, before):
        np.testing.assert_array_equal(np.array(t["flags"]), old_flags)
        assert list(t["id"]) == ids
        for name, values in columns.items():
            np.testing.assert_array_equal(t[name].as_numpy_array(), values)


def test_the_program_leaves_them_out_afterwards(read_measured):
    experiments, tables = read_measured("abiraterone/integrated")
    o = build_observations([*experiments], tables)
    noisy = np.zeros(len(o), dtype=bool)
    noisy[::50] = True
    table = set_aside([*experiments], tables, o, noisy)
    again = build_observations(
        [*experiments], [table.select(table["id"] == i) for i in range(len(tables))]
    )
    assert again.dropped["excluded for scaling"] == noisy.sum()
    assert len(again) == len(o) - noisy.sum()


def run_dials(folder, program, *arguments):
    """Run one of its programs as a user does; what it says."""
    code = f"from dials.command_line.{program} import run; run()"
    done = subprocess.run(
        *([sys.executable, "-c", code, *arguments],),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_dials_scale_takes_the_table(read_measured, tmp_path):
    """It takes the flag off, as it does with all flags of earlier scaling."""
    experiments, tables = read_measured("quartz/integrated")
    o = build_observations([*experiments], tables)
    noisy = np.zeros(len(o), dtype=bool)
    noisy[::40] = True
    ExperimentList([*experiments]).as_file(str(tmp_path / "in.expt"))
    # KB is not for one data set in later releases.
    options = ("model=physical", "full_matrix=False", "error_model=None")
    options += (
        "physical.decay_correction=False",
        "physical.absorption_correction=False",
    )
    options += ("outlier_rejection=None", "nproc=1")
    used = []
    for leave_out in (False, True):
        table = set_aside([*experiments], tables, o, noisy, leave_out)
        table.as_file(str(tmp_path / "filtered.refl"))
        run_dials(tmp_path, "scale", "in.expt", "filtered.refl", *options)
        scaled = flex.reflection_table.from_file(str(tmp_path / "scaled.refl"))
        rows = scaled.get_flags(scaled.flags.scaled)
        hkl_z = scaled.select(rows)
        used.append(
            {
                (*h, round(x[2], 3))
                for h, x in zip(hkl_z["miller_index"], hkl_z["xyzcal.px"])
            }
        )
        assert len(scaled) <= len(tables[0]) - leave_out * noisy.sum()
    z = np.array([x[2] for x in tables[0]["xyzcal.px"]])[o.row[noisy]]
    aside = {
        (*map(int, h), round(float(x), 3)) for h, x in zip(o.miller_index[noisy], z)
    }
    assert len(aside & used[0]) > 0.8 * len(aside)
    assert not aside & used[1]


def test_the_filter_of_merge_and_export_obeys_the_flag(read_measured):
    experiments, tables = read_measured("l_cysteine/scaled_20_25")
    o = build_observations([*experiments], tables)
    noisy = np.random.default_rng(1).random(len(o)) < 0.1
    plain, filtered = (
        filter_reflection_table(
            set_aside([*experiments], tables, o, rows), ["scale"], d_min=0.7
        )
        for rows in (noisy & False, noisy)
    )
    # The filter leaves out some more, weak ones and partial ones.
    gone = (noisy & (o.d_spacing[o.unique] >= 0.7)).sum()
    assert gone > 100
    assert len(plain) - len(filtered) == pytest.approx(gone, rel=0.03)
