"""Beam, zone axes and noisy spots from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dials.array_family import flex
from dials.util import Sorry

from dials_spread.command_line.compare_images import run

QUICK = ("likelihood.analyse=False", "variogram.analyse=False", "nproc=1")
QUICK += ("components.analyse=False", "n_pairs_shown=0", "output.html=None")


@pytest.fixture
def abiraterone(data_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [str(data_folder / f"abiraterone/integrated.{e}") for e in ("expt", "refl")]


def document() -> dict:
    return json.loads(Path("dials.compare_images.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("leave_out", [False, True])
def test_noisy_spots_are_set_aside_on_request(abiraterone, leave_out):
    options = ("noisy_spots.filter=cut", f"noisy_spots.leave_out={leave_out}")
    run([*abiraterone, *QUICK, *options, "output.filtered=filtered.refl"])
    found = document()
    n = found["noisy_spots"]["remove_cut"]["n_removed"]
    assert n > 10
    before = flex.reflection_table.from_file(abiraterone[1])
    after = flex.reflection_table.from_file("filtered.refl")
    assert len(before) - len(after) == n * leave_out
    excluded = after.get_flags(after.flags.excluded_for_scaling).count(True)
    assert excluded == n * (not leave_out)
    assert set(after.keys()) == set(before.keys())
    assert dict(after.experiment_identifiers()) == dict(before.experiment_identifiers())
    log = Path("dials.compare_images.log").read_text(encoding="utf-8")
    assert f"{n} of {found['input']['observations']} observations are noisy" in log


@pytest.mark.slow
def test_each_part_can_be_switched_off(abiraterone):
    names = ("beam", "orientations", "noisy_spots")
    run([*abiraterone, *QUICK, *(f"{name}.analyse=False" for name in names)])
    assert all(document()[name] == {"reason": "switched off."} for name in names)
    assert not Path("filtered.refl").exists()


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("beam.annulus=0.5,0.1",), "from 0.5 to 0.1"),
        (("output.filtered=f.refl", "noisy_spots.analyse=False"), "output.filtered"),
    ],
)
def test_what_makes_no_sense_is_one_line(abiraterone, arguments, told):
    with pytest.raises(Sorry) as stop:
        run([*abiraterone, *arguments])
    assert told in str(stop.value)
    assert list(Path().iterdir()) == []
