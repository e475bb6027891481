"""Frames through the programs of DIALS, from import to scaling, against the truth."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.frames import write_frames
from dials_spread.simulation.structures import random_structure

pytestmark = [pytest.mark.slow, pytest.mark.long]


def run_dials(folder, *command):
    """Run a DIALS program in a folder and insist on success."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on PATH")
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=1200
    )
    assert not done.returncode, done.stdout[-3000:] + done.stderr


def read(stem):
    experiments = ExperimentListFactory.from_json_file(
        f"{stem}.expt", check_format=False
    )
    return experiments[0], flex.reflection_table.from_file(f"{stem}.refl")


@pytest.fixture(scope="module")
def truth():
    experiments, reflections = simulate_experiments(
        random_structure(np.random.default_rng(11)),
        np.random.default_rng(5),
        n_crystals=1,
        scan_width=40.0,
        image_width=1.0,
        d_min=1.0,
        mosaicity=0.1,
        n_pixels=512,
    )
    return experiments, reflections


@pytest.fixture(scope="module")
def processed(truth, tmp_path_factory):
    """The folder in which frames were written and processed with default parameters."""
    folder = tmp_path_factory.mktemp("chain")
    rng = np.random.default_rng(6)
    files = write_frames(*truth, folder, rng=rng)
    run_dials(folder, "dials.import", *(file.name for file in files))
    run_dials(folder, "dials.find_spots", "imported.expt", "nproc=1")
    run_dials(folder, "dials.index", "imported.expt", "strong.refl")
    run_dials(folder, "dials.refine", "indexed.expt", "indexed.refl")
    run_dials(folder, "dials.integrate", "refined.expt", "refined.refl", "nproc=1")
    # In P1 no two observations are equivalent, and dials.scale 3.12 fails on that.
    run_dials(folder, "dials.symmetry", "integrated.expt", "integrated.refl")
    run_dials(folder, "dials.scale", "symmetrized.expt", "symmetrized.refl")
    return folder


def matched(true, found):
    """Rows of both tables that are one crossing of one reflection."""
    (experiment, reflections), (other, table) = true, found
    A, B = (np.array(e.crystal.get_A()).reshape(3, 3) for e in (experiment, other))
    # Indexing is free to choose among equivalent bases.
    change = np.linalg.inv(A) @ B
    assert np.abs(change - np.rint(change)).max() < 0.03
    ours, theirs = (
        t["miller_index"].as_vec3_double().as_numpy_array().astype(int)
        for t in (reflections, table)
    )
    z_ours, z_theirs = (
        t["xyzcal.px"].as_numpy_array()[:, 2] for t in (reflections, table)
    )
    places = {}
    for row, hkl in enumerate(ours):
        places.setdefault(tuple(hkl), []).append(row)
    pairs = [
        (row, other_row)
        for other_row, hkl in enumerate(theirs @ np.rint(change).astype(int).T)
        for row in places.get(tuple(hkl), ())
        if abs(z_ours[row] - z_theirs[other_row]) < 2
    ]
    return np.array(pairs).T


def column(table, name):
    return table[name].as_numpy_array()


def compare(true, found, kind):
    """Integrated intensities, their standard uncertainties, and what they should be."""
    ours, theirs = matched(true, found)
    reflections, table = true[1], found[1]
    done = table.get_flags(getattr(table.flags, f"integrated_{kind}")).as_numpy_array()
    # Both programs must have the whole reflection: dials.integrate cuts a few that
    # last long at the ends of its blocks of frames.
    whole = column(reflections, "partiality")[ours] > 0.99
    whole &= column(table, "partiality")[theirs] > 0.99
    ours, theirs = (rows[whole & done[theirs]] for rows in (ours, theirs))
    return (
        column(table, f"intensity.{kind}.value")[theirs],
        np.sqrt(column(table, f"intensity.{kind}.variance")[theirs]),
        column(reflections, "truth.expected")[ours],
    )


@pytest.mark.slow
def test_all_reflections_are_integrated_where_they_are(truth, processed):
    experiments, reflections = truth
    found = read(processed / "integrated")
    ours, theirs = matched((experiments[0], reflections), found)
    assert len(set(ours)) >= 0.98 * len(reflections)
    shift = (
        column(found[1], "xyzcal.px")[theirs] - column(reflections, "xyzcal.px")[ours]
    )
    # [pixels, pixels, images]
    assert (np.abs(np.median(shift, axis=0)) < (0.05, 0.05, 0.05)).all()
    assert (shift.std(axis=0) < (0.1, 0.1, 0.1)).all()
    # The widths that dials.integrate finds are those that were put in.
    profile, wanted = found[0].profile, experiments[0].profile
    assert profile.sigma_m(deg=True) == pytest.approx(wanted.sigma_m(deg=True), rel=0.1)
    # DIALS takes the distance from the centre, in two directions, and a pixel adds the
    # variance of a box to that of a spot.
    broad = wanted.sigma_b(deg=True) * np.sqrt(2 * (0.8**2 + 1 / 12)) / 0.8
    assert profile.sigma_b(deg=True) == pytest.approx(broad, rel=0.1)


@pytest.mark.parametrize("kind", ["sum", "prf"])
def test_integrated_intensities_are_the_truth_within_their_errors(
    truth, processed, kind
):
    true = (truth[0][0], truth[1])
    value, sigma, expected = compare(true, read(processed / "integrated"), kind)
    assert len(value) > 500
    assert np.corrcoef(value, expected)[0, 1] > 0.999
    weight = 1 / np.maximum(expected, 1)
    slope = np.sum(weight * value * expected) / np.sum(weight * expected**2)
    assert slope == pytest.approx(1, abs=0.01)
    z = (value - expected) / sigma
    assert abs(z.mean()) < 0.15
    assert z.std() == pytest.approx(1, abs=0.15)
    # Profile fitting overstates the errors of the weakest, by a factor of two.
    z = z[expected > 100]
    assert z.std() == pytest.approx(1, abs=0.15)
    assert 1.4826 * np.median(np.abs(z)) == pytest.approx(1, abs=0.15)
    assert np.abs(z).max() < 6


def test_scaled_equivalents_agree_within_counting_noise(truth, processed):
    experiment, table = read(processed / "scaled")
    table = table.select(table.get_flags(table.flags.scaled))
    assert len(table) > 500
    value = column(table, "intensity.scale.value") / column(
        table, "inverse_scale_factor"
    )
    sigma = np.sqrt(column(table, "intensity.scale.variance"))
    sigma /= column(table, "inverse_scale_factor")
    ours, theirs = matched((truth[0][0], truth[1]), (experiment, table))
    kinematic = column(truth[1], "intensity.kinematic.value")[ours]
    assert np.corrcoef(value[theirs], kinematic)[0, 1] > 0.999
    strong = value[theirs] > 10 * sigma[theirs]
    ratio = value[theirs][strong] / kinematic[strong]
    assert np.std(ratio) / np.mean(ratio) < 0.06
