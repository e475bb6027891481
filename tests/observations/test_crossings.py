"""Neighbouring images that list one crossing of the Ewald sphere count it once."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.observations import build_observations
from dials_spread.observations.crossings import first_listings, number_crossings
from dials_spread.prepare.geometry import observation_geometry
from dials_spread.report.compare_images.sentences import describe_input


def crossings(first, hkl, crystal=None):
    """Listings on images of three frames each."""
    first = np.array(first)
    crystal = np.zeros(len(first), dtype=int) if crystal is None else np.array(crystal)
    return number_crossings(crystal, np.array(hkl), first, first + 2, gap=1).tolist()


def test_crossings_by_hand():
    one, other = (1, 2, 3), (-1, -2, -3)
    assert crossings([7, 1, 4], [one] * 3) == [0, 0, 0]
    # Frames 4 to 6 lie between: two crossings.
    assert crossings([7, 10, 1], [one] * 3) == [0, 0, 1]
    assert crossings([1, 4], [one, other]) == [0, 1]
    assert crossings([1, 4], [one, one], crystal=[0, 1]) == [0, 1]
    assert crossings([], np.zeros((0, 3), dtype=int)) == []


@pytest.mark.parametrize("name, crossings", [("glycine", 1249), ("quartz", 1542)])
def test_virtual_frames_are_recognised(data_folder, name, crossings):
    """Glycine's overlap; dials.integrate lists nearly every crossing of quartz once."""
    files = [str(data_folder / name / f"integrated.{e}") for e in ("expt", "refl")]
    experiments = ExperimentListFactory.from_json_file(files[0], check_format=False)
    table = flex.reflection_table.from_file(files[1])
    observations = build_observations([*experiments], [table])
    assert observations.n_passages == crossings
    assert observations.often_repeated == (name == "glycine")
    told = " ".join(describe_input(observations))
    assert ("1,249 are independent" in told) == (name == "glycine")


@pytest.mark.parametrize("width", [0.0, 1.0, 3.0])
def test_the_width_of_an_image_does_not_count(data_folder, width):
    """By the angle: as many crossings however frames are joined, in either command."""
    stem = data_folder / "glycine" / "integrated"
    experiments = [
        *ExperimentListFactory.from_json_file(f"{stem}.expt", check_format=False)
    ]
    tables = [flex.reflection_table.from_file(f"{stem}.refl")]
    observations = build_observations(experiments, tables, image_width=width)
    geometry = observation_geometry(observations, experiments, tables)
    known = observations.with_geometry(geometry)
    # Counted another way: a gap of more than two degrees in the angles of an index.
    angles: dict[tuple, list[float]] = {}
    for hkl, angle in zip(known.miller_index.tolist(), known.angle):
        angles.setdefault(tuple(hkl), []).append(angle)
    gaps = [np.diff(sorted(a)) for a in angles.values()]
    assert known.n_passages == sum(1 + np.sum(g > 2.0) for g in gaps) == 1249


def test_wavelengths_may_differ_where_images_are_only_compared(data_folder):
    stem = data_folder / "quartz" / "integrated"
    experiments = [
        *ExperimentListFactory.from_json_file(f"{stem}.expt", check_format=False)
    ]
    table = flex.reflection_table.from_file(f"{stem}.refl")
    tables = [table.select(table["id"] == k) for k in range(len(experiments))]
    observations = build_observations(experiments * 2, tables * 2)
    other = copy.deepcopy(experiments)
    for experiment in other:
        experiment.beam.set_wavelength(1.5 * experiment.beam.get_wavelength())
    both = (experiments + other, tables * 2)
    with pytest.raises(ValueError, match="depends on the voltage"):
        observation_geometry(observations, *both)
    geometry = observation_geometry(observations, *both, one_wavelength=False)
    mean = 1.25 * experiments[0].beam.get_wavelength()
    assert geometry.wavelength == pytest.approx(mean)


def test_first_listings():
    crossing = np.array([0, 0, 1, 0, 2, 1, 3])
    assert first_listings(crossing).tolist() == [0, 2, 4, 6]
    assert first_listings(crossing[:0]).tolist() == []
