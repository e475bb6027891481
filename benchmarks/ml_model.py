"""
What models cost: training, prediction against scikit-learn, files, corrected tables.

    python benchmarks/ml_model.py [rows] [folder of measured data]

Prints wall and processor seconds; a second of the processor is what the work costs on a
machine that does other things as well.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.correction.apply.corrected_files import join, write_corrected
from dials_spread.correction.apply.one_table import apply_factors
from dials_spread.correction.model.card import Card
from dials_spread.correction.model.estimator import CorrectionRegressor
from dials_spread.correction.model.model_file import Model, read_model, write_model

warnings.simplefilter("ignore")

FEATURES = 31
"""As many as observations have."""


def timed(title: str, function: Callable):
    """Call a function, print what it took, return what it gave."""
    wall, own = time.perf_counter(), time.process_time()
    result = function()
    wall, own = time.perf_counter() - wall, time.process_time() - own
    print(f"{title:58s}{wall:9.2f} s{own:9.2f} s")
    return result


def table(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features as observations have them, a target, and crystals as groups."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    X[:, 20:] = np.round(X[:, 20:], 1)
    X[rng.random(X.shape) < 0.02] = np.nan
    known = np.nan_to_num(X)
    y = known[:, 0] * known[:, 1] + np.sin(known[:, 2]) + 0.5 * rng.normal(size=rows)
    return X, y, rng.integers(0, 100, rows)


def models(rows: int, folder: Path) -> None:
    """Train, predict, write and read."""
    X, y, crystal = table(rows)
    model = CorrectionRegressor(random_state=0, n_pairs=2)
    timed(
        f"training, {rows} rows, {2 * model.n_pairs} members of {model.max_iter} trees",
        lambda: model.fit(X, y, groups=crystal),
    )
    some = X[:100_000]
    (first, *_) = model.members_
    forests = model.forests([f"x{k}" for k in range(FEATURES)])
    forest = forests["member_0"]
    forest.predict(some[:10])  # compile
    for _ in range(2):
        ours = timed(f"one member, {len(some)} rows", lambda: forest.predict(some))
        theirs = timed("the same by scikit-learn", lambda: first.predict(some))
    print(f"largest difference: {np.abs(ours - theirs).max():.1e}")
    card = Card("benchmark", "Of no use.", ())
    path = folder / "a.model"
    told = Model(card, forests, model.settings())
    timed("writing the model", lambda: write_model(told, path))
    timed("reading it", lambda: read_model(path))
    print(f"size of the file: {os.path.getsize(path) / 1e6:.2f} MB")


def tables(data: Path, folder: Path) -> None:
    """Read, correct and write the l-cysteine sweeps."""
    stems = [data / "l_cysteine" / f"{n}_integrated" for n in (20, 25, 30, 35)]

    def read(stem):
        experiments = ExperimentListFactory.from_json_file(
            f"{stem}.expt", check_format=False
        )
        return experiments[0], flex.reflection_table.from_file(f"{stem}.refl")

    found = timed("reading four sweeps", lambda: [read(stem) for stem in stems])
    experiments, given = zip(*found)
    rng = np.random.default_rng(0)
    corrected = timed(
        f"correcting {sum(map(len, given))} reflections",
        lambda: [apply_factors(t, rng.uniform(0.5, 2, len(t)), False) for t in given],
    )
    joined = timed("joining them", lambda: join(experiments, corrected))
    names = (str(folder / "a.expt"), str(folder / "a.refl"))
    timed("writing them", lambda: write_corrected(*joined, *names))


if __name__ == "__main__":
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    here = Path(__file__).resolve().parents[2] / "shared" / "data"
    measured = Path(sys.argv[2] if len(sys.argv) > 2 else here)
    with tempfile.TemporaryDirectory() as made:
        if measured.is_dir():
            tables(measured, Path(made))
        models(n_rows, Path(made))
