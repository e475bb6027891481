"""Beam, detector, goniometer, scan and crystal that nothing measured can have."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from dxtbx.model import Detector, ExperimentList
from scitbx import matrix

from dials_spread.valid_input.models import impossible_models


@pytest.fixture
def experiment(simulated):
    """A copy of one whose models are its own."""
    return copy.deepcopy(simulated[0])[0]


def told(experiment) -> str:
    lines = impossible_models(ExperimentList([experiment]), "a.expt")
    assert lines and all(line.startswith("a.expt: experiment 0: ") for line in lines)
    return "\n".join(lines)


def test_sound_models_pass(simulated):
    assert impossible_models(simulated[0], "a.expt") == []


@pytest.mark.parametrize("value", [0.0005, -1.0, np.nan, 11.0, np.inf])
def test_wavelengths(experiment, value):
    try:
        experiment.beam.set_wavelength(value)
    except RuntimeError:
        pytest.skip("dxtbx refuses it")
    assert f"wavelength {value:g} Å, which is not between 0.001 and 10 Å" in told(
        experiment
    )


@pytest.mark.parametrize("axis", [(0, 0, 0), (np.nan, 0, 0)])
def test_axes_of_rotation(experiment, axis):
    try:
        experiment.goniometer.set_rotation_axis_datum(axis)
    except RuntimeError:
        pytest.skip("dxtbx refuses it")
    assert "rotation axis" in told(experiment)


@pytest.mark.parametrize("element", [0.0, 5.0, np.nan, 1e300])
def test_rotations_that_are_none(experiment, element):
    experiment.goniometer.set_setting_rotation((element, 0, 0, 0, 1, 0, 0, 0, 1))
    assert "1 of 1 setting rotations of the goniometer are none" in told(experiment)


@pytest.mark.parametrize(
    ("start", "width", "words"),
    [
        (0.0, 1e-300, "images of 1e-300°"),
        (np.nan, 1.0, "a scan that begins at nan°"),
        (0.0, 1e10, "images of 1e+10°"),
    ],
)
def test_scans(experiment, start, width, words):
    try:
        experiment.scan.set_oscillation((start, width))
    except RuntimeError:
        pytest.skip("dxtbx refuses it")
    assert words in told(experiment)


@pytest.mark.parametrize("factor", [1e-30, 1e-4, 1e3, 1e30])
def test_cells(experiment, factor):
    crystal = experiment.crystal
    try:
        crystal.set_A(matrix.sqr(crystal.get_A()) * factor)
    except RuntimeError:
        pytest.skip("cctbx refuses it")
    assert "that of no crystal" in told(experiment) or "crystal is" in told(experiment)


def test_crystals_that_vary_into_nothing(experiment):
    n = experiment.scan.get_num_images() + 1
    crystal = experiment.crystal
    points = [crystal.get_A()] * n
    crystal.set_A_at_scan_points(points)
    assert impossible_models(ExperimentList([experiment]), "a.expt") == []
    points[3] = tuple(np.array(points[3]) * 2)
    crystal.set_A_at_scan_points(points)
    assert "setting matrix at point 3 of its scan is not that of" in told(experiment)


def test_detectors(experiment):
    panel = experiment.detector[0]
    panel.set_image_size((0, 0))
    assert "panel 0 of the detector has 0 × 0 pixels" in told(experiment)
    experiment.detector = Detector()
    assert "a detector without panels" in told(experiment)


def test_each_fault_is_told_once_with_how_many_have_it(simulated):
    experiments = copy.deepcopy(simulated[0])
    for experiment in experiments:
        scan = copy.deepcopy(experiment.scan)
        scan.set_oscillation((0.0, 1e-300))
        experiment.scan = scan
    assert impossible_models(experiments, "a.expt") == [
        "a.expt: experiment 0: images of 1e-300° (3 of 3 experiments)"
    ]
