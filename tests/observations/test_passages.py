"""Neighbouring images that list one passage count it once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.observations import build_observations
from dials_spread.observations.passages import count_passages, often_repeated
from dials_spread.report.sentences import describe_input


class Listed(SimpleNamespace):
    """Observations of reflections on images of three frames each."""

    def __init__(self, image, hkl, crystal=None):
        first = np.array([1, 4, 7, 10, 1])
        super().__init__(
            crystal=np.zeros(len(image), dtype=int) if crystal is None else crystal,
            miller_index=np.array(hkl),
            entry=np.arange(len(image)),
            entry_image=np.array(image),
            images=SimpleNamespace(first=first, last=first + 2),
        )

    def __len__(self):
        return len(self.entry)


def test_passages_by_hand():
    one, other = (1, 2, 3), (-1, -2, -3)
    assert count_passages(Listed([0, 1, 2], [one] * 3)) == 1
    # Image 1 lies between: two passages.
    assert count_passages(Listed([0, 2, 3], [one] * 3)) == 2
    assert count_passages(Listed([0, 1], [one, other])) == 2
    # Image 4 is of another crystal.
    assert count_passages(Listed([3, 4], [one, one], crystal=np.array([0, 1]))) == 2


@pytest.mark.parametrize("name, passages", [("glycine", 1249), ("quartz", 1542)])
def test_virtual_frames_are_recognised(data_folder, name, passages):
    """Glycine's overlap; dials.integrate lists nearly every passage of quartz once."""
    files = [str(data_folder / name / f"integrated.{e}") for e in ("expt", "refl")]
    experiments = ExperimentListFactory.from_json_file(files[0], check_format=False)
    table = flex.reflection_table.from_file(files[1])
    observations = build_observations([*experiments], [table])
    assert count_passages(observations) == passages
    assert often_repeated(observations) == (name == "glycine")
    told = " ".join(describe_input(observations))
    assert ("1,249 passages" in told) == (name == "glycine")
