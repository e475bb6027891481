"""The page of a simulation at measured experiments."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.report.simulate_ed.measured_outputs import after_measured
from dials_spread.report.simulate_ed.simulation_page import (
    held_out_r1,
    measured_page,
)
from dials_spread.spread.sources.explained import explained_spread
from dials_spread.thickness.curves import Shape
from dials_spread.thickness.results import MeasuredAndSimulated

OUTPUT = SimpleNamespace(experiments="simulated.expt", reflections="simulated.refl")
DOCUMENT = {
    "command": "dials.simulate_ed",
    "version": "0.1.0",
    "dials_version": "DIALS 3.12",
    "input": {"files": [f"crystal_{i}.expt" for i in range(40)]},
    "parameters": {"output": {"html": "dials.simulate_ed.html"}},
}


def simulation(n_crystals: int, held: float):
    """Crystals whose R1 of held-out reflections is 0.3 without multiple scattering."""
    rng = np.random.default_rng(0)
    n = 100
    thicknesses = np.geomspace(20, 2000, 30)
    crystals = []
    for number in range(n_crystals):
        shape = Shape(200.0 + 30 * number, within=0.3)
        fit = SimpleNamespace(
            thicknesses=thicknesses,
            curve=0.2 + 0.05 * np.log(thicknesses / shape.thickness) ** 2,
            shape=shape,
            su=20.0,
            r1=0.18,
            held_out_kinematic=0.3,
            held_out=held,
            n=n,
            n_unique=40,
        )
        values = {"r1": 0.19, "r1_kinematic": 0.31, "r1_other_hand": np.nan, "n": n}
        crystals.append(SimpleNamespace(number=number, fit=fit, shape=shape, **values))
    F2 = rng.exponential(size=n) + 0.1
    comparison = MeasuredAndSimulated(
        np.zeros(n, int), np.arange(n) // 4, np.ones((n, 3), int), np.ones(n),
        F2, 0.1 * F2, F2, 2 * F2,
    )  # fmt: skip
    return SimpleNamespace(
        crystals=crystals,
        settings=[SimpleNamespace(choice=SimpleNamespace(symbol="h,k,l"), r1=0.2)],
        chosen=0,
        comparison=comparison,
        explained=explained_spread(
            np.arange(n) // 4, np.arange(n) % 5, F2, 0.01 * F2, 1.1 * F2, rng
        ),
        lorentz_applied_here=True,
        n_rows=n,
        n_simulated=n - 3,
    )


def test_the_next_step_follows_from_the_reflections_held_out():
    better, worse = simulation(3, 0.2), simulation(3, 0.32)
    assert held_out_r1(better) == pytest.approx((0.3, 0.2, 3))
    assert after_measured(better, OUTPUT)[0].text.startswith("Refine the structure")
    assert after_measured(worse, OUTPUT)[0].text.startswith("Check the structure")
    command = "\ndials.compare_images simulated.expt simulated.refl"
    for result in (better, worse):
        assert after_measured(result, OUTPUT)[-1].on_page.endswith(command)
    for crystal in better.crystals:
        crystal.fit = None
    assert held_out_r1(better) is None


@pytest.mark.slow
@pytest.mark.parametrize("width", [1300, 420])
@pytest.mark.parametrize("n_crystals", [1, 12])
def test_nothing_overlaps_at_this_width(n_crystals, width, layout_of):
    result = simulation(n_crystals, 0.2)
    page = measured_page(DOCUMENT, result, None, after_measured(result, OUTPUT))
    assert "<code>dials.compare_images simulated.expt simulated.refl</code>" in page
    layout = layout_of(page, width)
    assert layout["faults"] == []
    assert layout["width"] == width and layout["plots"] == 3
