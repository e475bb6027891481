"""Corrected files: taken by the programs of DIALS, whole or not there at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex
from dxtbx import model
from dxtbx.model.experiment_list import ExperimentList, ExperimentListFactory

from dials_spread.correction.apply.corrected_files import join, write_corrected
from dials_spread.correction.apply.one_table import apply_factors, undo_factors
from dials_spread.input_files import read_files
from dials_spread.observations.correction_state import correction_state
from dials_spread.output_files import write_together

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def read(stem) -> tuple[ExperimentList, flex.reflection_table]:
    experiments = ExperimentListFactory.from_json_file(
        f"{stem}.expt", check_format=False
    )
    return experiments, flex.reflection_table.from_file(f"{stem}.refl")


def column(table, name) -> np.ndarray:
    return table[name].as_numpy_array()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def scaled(data_folder, tmp_path_factory):
    """Quartz corrected before dials.scale, and the same by hand without columns."""
    folder = tmp_path_factory.mktemp("scaled")
    experiments, table = read(data_folder / "quartz" / "integrated")
    rng = np.random.default_rng(5)
    c = np.exp(0.2 * rng.normal(size=len(table)))
    corrected = apply_factors(table, c, scaled=False)
    write_corrected(
        experiments, corrected, str(folder / "a.expt"), str(folder / "a.refl")
    )
    for kind in ("prf", "sum"):
        for what, factor in (("value", c), ("variance", c * c)):
            name = f"intensity.{kind}.{what}"
            table[name] = cctbx_flex.double(column(table, name) * factor)
    write_corrected(experiments, table, str(folder / "b.expt"), str(folder / "b.refl"))
    running = [
        subprocess.Popen(
            [
                "dials.scale",
                f"../{stem}.expt",
                f"../{stem}.refl",
                # KB is not for one data set in later releases.
                "model=physical",
                "physical.decay_correction=False",
                "physical.absorption_correction=False",
                "error_model=None",
                "full_matrix=False",
                "output.html=None",
            ],
            cwd=_made(folder / stem),
            **QUIET,
        )
        for stem in "ab"
    ]
    assert [process.wait() for process in running] == [0, 0]
    return folder


@pytest.mark.slow
def test_dials_scale_takes_it_and_keeps_the_columns(scaled):
    _, ours = read(scaled / "a" / "scaled")
    _, by_hand = read(scaled / "b" / "scaled")
    for name in ("intensity.scale.value", "inverse_scale_factor", "flags"):
        np.testing.assert_array_equal(column(ours, name), column(by_hand, name))
    assert correction_state(ours) == "corrected"
    with pytest.raises(ValueError, match="corrected already"):
        apply_factors(ours, np.ones(len(ours)), scaled=True)


@pytest.mark.slow
def test_undo_after_scaling_restores_what_was_integrated(scaled, data_folder, caplog):
    _, ours = read(scaled / "a" / "scaled")
    _, original = read(data_folder / "quartz" / "integrated")
    restored = undo_factors(ours)
    assert "Run dials.scale again" in caplog.text
    key = "xyzobs.px.value"
    places = {tuple(x): n for n, x in enumerate(original[key])}
    rows = [places[tuple(x)] for x in restored[key]]
    for name in ("intensity.prf.value", "intensity.sum.variance"):
        same = column(restored, name) == column(original, name)[rows]
        # dials.scale joins the two parts of a few reflections.
        assert same.mean() > 0.95
    assert set(original.keys()) <= set(restored.keys())
    assert correction_state(restored) == "none"


@pytest.mark.slow
def test_dials_merge_and_export_take_a_table_corrected_after_scaling(scaled, tmp_path):
    experiments, table = read(scaled / "b" / "scaled")
    rng = np.random.default_rng(6)
    c = np.exp(0.2 * rng.normal(size=len(table)))
    corrected = apply_factors(table, c, scaled=True)
    names = (str(tmp_path / "c.expt"), str(tmp_path / "c.refl"))
    write_corrected(experiments, corrected, *names)
    np.testing.assert_array_equal(
        column(corrected, "inverse_scale_factor"), column(table, "inverse_scale_factor")
    )
    found = read_files([names[0]], [names[1]])
    assert correction_state(found.tables[0]) == "corrected"
    running = [
        subprocess.Popen([*command, "c.expt", "c.refl"], cwd=tmp_path, **QUIET)
        for command in (
            ["dials.merge", "output.html=None"],
            ["dials.export", "format=shelx", "shelx.hklout=c.hkl"],
        )
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert (tmp_path / "merged.mtz").stat().st_size > 1000
    exported = np.loadtxt(
        [line for line in (tmp_path / "c.hkl").read_text().splitlines() if line[3:4]],
        usecols=3,
        max_rows=1000,
    )
    value = column(corrected, "intensity.scale.value")
    expected = value / np.maximum(column(corrected, "inverse_scale_factor"), 1e-9)
    # Each exported intensity is one of ours, on the scale that fits the format.
    ratio = exported.max() / expected[column(table, "inverse_scale_factor") > 0].max()
    off = np.abs(exported[:, None] / ratio - expected[None]).min(axis=1)
    assert np.median(off / np.abs(exported).mean() * ratio) < 1e-3


def test_joining_keeps_rows_and_names(read_measured):
    experiments, tables = read_measured("abiraterone/integrated")
    before = [table.as_msgpack() for table in tables]
    joined, table = join(experiments, tables)
    assert [t.as_msgpack() for t in tables] == before
    assert [e.identifier for e in joined] == [e.identifier for e in experiments]
    names = dict(table.experiment_identifiers())
    assert names == {n: e.identifier for n, e in enumerate(joined)}
    assert table.are_experiment_identifiers_consistent(joined)
    for number, part in enumerate(tables):
        own = table.select(table["id"] == number)
        assert list(own["miller_index"]) == list(part["miller_index"])
        assert set(own.keys()) == set(part.keys())


def test_joining_the_same_crystal_twice(read_measured, tmp_path):
    experiments, tables = read_measured("quartz/integrated")
    fewer = tables[0].select(cctbx_flex.bool(len(tables[0]), True))
    del fewer["zeta"]
    joined, table = join([experiments[0], experiments[0]], [tables[0], fewer])
    names = [e.identifier for e in joined]
    assert names[0] == experiments[0].identifier and names[0] != names[1]
    assert "zeta" not in table and len(table) == 2 * len(fewer)
    assert joined[1].crystal == experiments[0].crystal
    files = str(tmp_path / "a.expt"), str(tmp_path / "a.refl")
    write_corrected(joined, table, *files)
    found = read_files([files[0]], [files[1]])
    assert [len(t) for t in found.tables] == [len(fewer)] * 2


def test_files_that_are_links_and_devices(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_together({str(tmp_path / "link"): b"new", "/dev/null": b"nothing"})
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()


def test_experiments_of_the_same_name_keep_their_history():
    if not hasattr(model, "History"):
        pytest.skip("experiments have a history since dxtbx 3.26")
    experiments = [model.Experiment(identifier="one") for _ in range(2)]
    for experiment in experiments:
        experiment.history = model.History(["2026-01-01T00:00:00Z|dials.import|v3.30"])
    tables = [flex.reflection_table() for _ in experiments]
    for table in tables:
        table["id"] = cctbx_flex.int([0])
    joined, _ = join(experiments, tables)
    assert [e.identifier for e in joined] == ["one", "one_1"]
    for experiment in joined:
        assert experiment.history.get_history()[0].endswith("|dials.import|v3.30")


def test_a_column_of_two_types_is_left_out(simulated, caplog):
    """Whole numbers in one table and others in the next cannot be one column."""
    experiments, tables = simulated
    tables = [t.select(flex.bool(len(t), True)) for t in tables]
    for k, table in enumerate(tables):
        table["mine"] = (flex.double if k else flex.int)(len(table), 1)
    with caplog.at_level("WARNING"):
        _, joined = join(experiments, tables)
    assert "mine" not in joined and len(joined) == sum(map(len, tables))
    assert caplog.messages == [
        "Columns that are not in all tables, or hold other things there, are left out: "
        "mine."
    ]
