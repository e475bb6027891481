"""Neighbouring images that list one crossing of the Ewald sphere count it once."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.observations import build_observations
from dials_spread.observations.table import number_crossings
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


@pytest.mark.parametrize("name, passages", [("glycine", 1249), ("quartz", 1542)])
def test_virtual_frames_are_recognised(data_folder, name, passages):
    """Glycine's overlap; dials.integrate lists nearly every crossing of quartz once."""
    files = [str(data_folder / name / f"integrated.{e}") for e in ("expt", "refl")]
    experiments = ExperimentListFactory.from_json_file(files[0], check_format=False)
    table = flex.reflection_table.from_file(files[1])
    observations = build_observations([*experiments], [table])
    assert observations.n_passages == passages
    assert observations.often_repeated == (name == "glycine")
    told = " ".join(describe_input(observations))
    assert ("1,249 are independent" in told) == (name == "glycine")
