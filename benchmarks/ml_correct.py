"""
What a correction learnt from the data gives, by each split, and what applying costs.

    python benchmarks/ml_correct.py [crystals] [resolution]

Simulates paracetamol of two hundred crystals or as many as told, trains on the first half
and tests on the second, as the published protocol does, and on unseen unique reflections.
Prints R1 of merged amplitudes with all controls, and wall and processor seconds.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.driver import get_subject
from dials_spread.correction.training import train_on
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structure_files import read_structure


def timed(title: str, function: Callable):
    """Call a function, print what it took, return what it gave."""
    wall, own = time.perf_counter(), time.process_time()
    result = function()
    wall, own = time.perf_counter() - wall, time.process_time() - own
    print(f"{title:58s}{wall:9.2f} s{own:9.2f} s", flush=True)
    return result


def main(n_crystals: int, d_min: float) -> None:
    """Simulate, train, test, and apply."""
    experiments, table = timed(
        f"simulating {n_crystals} crystals to {d_min} Å",
        lambda: simulate_experiments(
            read_structure("paracetamol"),
            np.random.default_rng(3),
            n_crystals=n_crystals,
            d_min=d_min,
            scan_width=50.0,
            wave="dynamical",
            noise=NoiseModel(extra_error=0.05),
        ),
    )
    tables = [table.select(table["id"] == k) for k in range(n_crystals)]
    half = n_crystals // 2
    training = timed(
        f"training and testing, {len(table)} observations",
        lambda: train_on(
            get_subject(experiments, tables),
            "paracetamol",
            crystals=(f"0:{half}", f"{half}:{n_crystals}"),
        ),
    )
    for score in training.validation.scores:
        print(f"  {score.split:12s}{score.method:12s}R1 {score.r1:.4f}  n {score.n}")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        experiments.as_file("a.expt")
        table.as_file("a.refl")
        logging.disable()
        for _ in range(2):
            timed("dials.ml_correct method=weights", lambda: run(ARGUMENTS))
        os.chdir("/")


ARGUMENTS = ["a.expt", "a.refl", "method=weights", "output.html=None"]

if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 200, float(given[1]) if given[1:] else 1.0)
