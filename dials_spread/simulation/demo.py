"""
Write a small simulated data set to try things on.

    python -m dials_spread.simulation.demo FOLDER [--crystals 12] [--seed 1]
        [--wave dynamical]

writes FOLDER/simulated.expt and FOLDER/simulated.refl, the integrated data of several
crystals of a random structure, 250 to 600 Å thick, with multiple scattering: about two
seconds a crystal, or a fifth of one with --wave kinematic.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure


def write_demo(
    folder: Path, n_crystals: int = 12, seed: int = 1, wave: str = "dynamical"
) -> list[Path]:
    """
    Simulate and write the demonstration data.

    Args:
        folder: Where to write; made where it does not exist.
        n_crystals: Number of crystals.
        seed: Seed of the structure and of all noise.
        wave: "dynamical", or "kinematic" for a control without multiple scattering.

    Returns:
        The two files written.

    Raises:
        OSError: The folder cannot be written to.
    """
    # Fail before the work, not after it.
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "simulated.expt", folder / "simulated.refl"]
    for file in files:
        file.open("ab").close()
    rng = np.random.default_rng(seed)
    experiments, reflections = simulate_experiments(
        random_structure(rng),
        rng,
        n_crystals=n_crystals,
        scan_width=60.0,
        noise=NoiseModel(image_spread=0.05, extra_error=0.1),
        wave=wave,
    )
    experiments.as_file(files[0])
    reflections.as_file(files[1])
    return files


def run(args: Sequence[str] | None = None) -> None:
    """Write the demonstration data to the folder named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dials_spread.simulation.demo",
        description="Write the simulated data of a few crystals.",
    )
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument("--crystals", type=int, default=12, help="number of crystals")
    parser.add_argument("--seed", type=int, default=1, help="seed of all randomness")
    parser.add_argument(
        "--wave",
        choices=("dynamical", "kinematic"),
        default="dynamical",
        help="with multiple scattering or without",
    )
    options = parser.parse_args(args)
    if options.crystals < 1 or options.seed < 0:
        parser.error("--crystals must be at least 1 and --seed not negative")
    try:
        files = write_demo(options.folder, options.crystals, options.seed, options.wave)
    except OSError as error:
        sys.exit(f"Cannot write to {options.folder}: {error.strerror}")
    sys.stdout.write("Written: " + ", ".join(str(file) for file in files) + "\n")


if __name__ == "__main__":
    run()
