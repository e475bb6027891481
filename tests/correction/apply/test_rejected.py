"""Observations that dials.scale rejected as outliers, in real scaled tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.apply.correct import (
    correct_intensities,
    estimated,
    get_subject,
)
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.taken_in import within_range, without_taken_in
from dials_spread.observations import build_observations
from dials_spread.observations.rejected import REASON, rejected_in_scaling
from dials_spread.placement.common_set import read_branch
from dials_spread.prepare.gross import FURTHEST

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from rejected import multiply  # noqa: E402


def rejected(table) -> np.ndarray:
    return table.get_flags(table.flags.outlier_in_scaling).as_numpy_array()


def test_without_what_was_rejected_smaller_errors_are_expected(read_measured):
    experiments, tables = read_measured("quartz/scaled")
    n = sum(rejected(t).sum() for t in tables)
    found = {}
    for keep in (False, "auto"):
        subject = get_subject(experiments, tables, nproc=1, keep_outliers=keep)
        result = correct_intensities(
            subject, choose_model(), nproc=1, reference="quartz"
        )
        found[keep] = subject, result
        told = [w for w in result.warnings if "dials.scale rejected" in w]
        assert len(told) == (not keep)
        if told:
            dropped = subject.observations.dropped[REASON]
            assert 0 < dropped <= n and f"rejected {dropped:,} of " in told[0]
    (fewer, without), (more, kept) = found[False], found["auto"]
    assert len(more.observations) - len(fewer.observations) >= 0.02 * len(
        more.observations
    )
    expected = [r.estimate.predicted_r1 for r in (without, kept)]
    true = [r.truth.r1[1] for r in (without, kept)]
    assert expected[1] > 1.05 * expected[0]
    assert true[1] < true[0]
    # What is called before has none of them: R1 differs by the scales alone.
    before = [r.truth.before_weighted.merged.r1[0] for r in (without, kept)]
    assert before[0] == pytest.approx(before[1], abs=0.004)
    assert more.accepted.sum() == len(fewer.observations)  # all have some accepted one


def test_gross_outliers_stay_out(read_measured):
    """20 times what the others of the reflection have."""
    experiments, tables = read_measured("quartz/scaled")
    subject = get_subject(experiments, tables, nproc=1)
    assert subject.observations.dropped.get(REASON, 0) < 0.03 * subject.taken_in.sum()
    measured = subject.prepared.measured
    flagged = subject.taken_in.copy()
    assert within_range(measured, flagged)[flagged].all()
    mean = measured.merged()
    strong = np.flatnonzero((mean > subject.prepared.N)[measured.unique])
    hit = np.random.default_rng(1).choice(strong, 20, replace=False)
    intensity = measured.intensity.copy()
    intensity[hit] = 20 * mean[measured.unique[hit]]
    flagged[hit] = True
    wild = measured.with_intensity(intensity, measured.sigma)
    found = within_range(wild, flagged)
    assert not found[hit].any()
    intensity[hit] = 0.02 * mean[measured.unique[hit]]
    wild = measured.with_intensity(intensity, measured.sigma)
    assert not within_range(wild, flagged)[hit].any()
    flagged[hit] = False
    assert found[flagged].mean() > 0.9  # the mean of some was changed, too
    assert 20 > 2 * FURTHEST
    # Nothing to be compared with is no reason to believe it.
    everything = np.ones(len(measured), dtype=bool)
    assert not within_range(measured, everything).any()


def test_rows_that_were_taken_in_count_in_what_is_written(
    data_folder, tmp_path, monkeypatch, capsys
):
    """Real dials.merge counts them, and undo=True gives back every flag."""
    monkeypatch.chdir(tmp_path)
    files = [str(data_folder / "quartz" / f"scaled.{e}") for e in ("expt", "refl")]
    run([*files, "output.html=None"])
    told = " ".join(capsys.readouterr().out.split())
    given, corrected = (
        flex.reflection_table.from_file(f) for f in (files[1], "corrected.refl")
    )
    old, new = rejected(given), rejected(corrected)
    taken_in = corrected["ml_correction.taken_in"].as_numpy_array() > 0
    assert taken_in.sum() > 50 and np.array_equal(old & ~new, taken_in)
    assert not (new & ~old).any()
    assert f"{taken_in.sum():,} were taken in and corrected" in told
    both = files, ["corrected.expt", "corrected.refl"]
    counted = [_merged(pair) for pair in both]
    assert counted[1] - counted[0] == taken_in.sum()
    n = [len(read_branch(*map(Path, pair)).observations) for pair in both]
    assert n[1] - n[0] == taken_in.sum()
    run(["corrected.expt", "corrected.refl", "undo=True"])
    restored = flex.reflection_table.from_file("uncorrected.refl")
    assert restored.as_msgpack() == given.as_msgpack()


def _merged(files: list[str]) -> int:
    """Observations that dials.merge counts."""
    done = subprocess.run(
        ["dials.merge", *files, "output.html=None"], check=True, capture_output=True
    )
    (line,) = (w for w in done.stdout.decode().splitlines() if "Total obs" in w)
    return int(line.split()[2].replace(",", ""))


def test_flags_of_a_table_that_was_scaled_anew_stay(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [str(data_folder / "quartz" / f"scaled.{e}") for e in ("expt", "refl")]
    run([*files, "output.html=None"])
    table = flex.reflection_table.from_file("corrected.refl")
    table["intensity.scale.value"] *= 1.01  # as another run of dials.scale would
    table.as_file("anew.refl")
    run(["corrected.expt", "anew.refl", "undo=True"])
    restored = flex.reflection_table.from_file("uncorrected.refl")
    assert np.array_equal(rejected(restored), rejected(table))


def simulated(folder, *more: str, times: float = 1.0):
    """Three crystals, of whose observations 1 % are multiplied, scaled by dials.scale."""
    command = [
        "dials.simulate_ed", "structure=paracetamol", "n_crystals=3", "scan_width=60",
        "d_min=1.0", "seed=5", "nproc=1", "noise.mean_counts=300", "output.html=None",
        "noise.extra_error=0.05", *more,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    table = flex.reflection_table.from_file(str(folder / "simulated.refl"))
    hit = np.random.default_rng(2).random(len(table)) < 0.01
    multiply(table, hit, times)
    table.as_file(str(folder / "wild.refl"))
    command = ["dials.scale", "simulated.expt", "wild.refl", "full_matrix=False"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    experiments = ExperimentListFactory.from_json_file(
        str(folder / "scaled.expt"), check_format=False
    )
    table = flex.reflection_table.from_file(str(folder / "scaled.refl"))
    return experiments, [table.select(table["id"] == i) for i in range(3)]


def corrected(experiments, tables, keep):
    subject = get_subject(experiments, tables, nproc=1, keep_outliers=keep)
    return correct_intensities(
        subject, choose_model(), nproc=1, reference="paracetamol"
    )


@pytest.mark.slow
def test_thick_crystals_with_wild_intensities_come_nearer_to_the_truth(tmp_path):
    data = simulated(tmp_path, "thickness.median=1000", times=20)
    found = {keep: corrected(*data, keep) for keep in (False, "auto", True)}
    r1 = {keep: float(r.truth.r1[1]) for keep, r in found.items()}
    assert r1["auto"] < r1[False] + 0.001
    assert r1["auto"] < r1[True] - 0.005
    expected = {keep: r.estimate.predicted_r1 for keep, r in found.items()}
    assert expected[False] < expected["auto"] < expected[True]


@pytest.mark.slow
def test_single_scattering_is_left_with_the_outliers_out(tmp_path):
    data = simulated(tmp_path, "wave=kinematic", times=20)
    found = {keep: corrected(*data, keep) for keep in (False, "auto")}
    assert found["auto"].strength == found[False].strength == 0
    assert found["auto"].taken_in is None
    for name in ("F", "F_before"):
        assert np.array_equal(*(getattr(r, name) for r in found.values()))
    # So it is with a structure, too.
    with_all = get_subject(*data, nproc=1)
    assert with_all.taken_in.any()
    subject, _ = estimated(with_all, choose_model(), nproc=1)
    assert not subject.taken_in.any()


def test_without_what_was_taken_in_it_is_as_if_never_read(read_measured):
    data = read_measured("quartz/scaled")
    fewer = get_subject(*data, nproc=1, keep_outliers=False)
    found = without_taken_in(get_subject(*data, nproc=1), nproc=1)
    assert len(found.observations) == len(fewer.observations)
    assert found.observations.dropped == fewer.observations.dropped
    assert np.array_equal(found.prepared.merged, fewer.prepared.merged)
    assert np.allclose(found.counted.sigma, fewer.counted.sigma, rtol=1e-12)
    for a, b in zip(found.integrated, fewer.integrated):
        # The Lorentz factor is relative to its median, of all that were read.
        ratio = (a / b)[np.isfinite(b)]
        assert np.allclose(ratio, np.median(ratio))
    assert without_taken_in(fewer) is fewer


def test_nothing_was_rejected_of_integrated_data(read_measured):
    experiments, tables = read_measured("quartz/scaled")
    for table in tables:
        del table["intensity.scale.value"]
    observations = build_observations(experiments, tables, keep_outliers=True)
    assert not rejected_in_scaling(observations, tables).any()
