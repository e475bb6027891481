"""
How long it takes to measure the beam on raw images, beside reading them and no more.

    python benchmarks/beam.py [integrated.expt integrated.refl] [--nproc 2] [--frames 200]

Without files frames are simulated. Printed are the best of three of each, in seconds of
this process's clock and of its processors, and the ratio, with one process; then the
ratio of one process to several.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.beam import BeamRegion, measure_beam
from dials_spread.beam.files import find_frame_files, open_frames
from dials_spread.observations import build_observations
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.frames import name_frames, write_frames
from dials_spread.simulation.structures import random_structure

REPEATS = 3


def simulated(folder: Path, n_frames: int):
    """Frames of one crystal in CBF files."""
    rng = np.random.default_rng(0)
    experiments, table = simulate_experiments(
        random_structure(rng),
        rng,
        n_crystals=1,
        d_min=0.9,
        scan_width=n_frames * 0.25,
        image_width=0.25,
    )
    write_frames(experiments, table, folder, rng=rng)
    name_frames(experiments, folder, "cbf")
    return [*experiments], [table]


def measured(expt: str, refl: str):
    """Frames that lie where the experiments say, or beside them."""
    experiments = ExperimentListFactory.from_json_file(expt, check_format=False)
    table = flex.reflection_table.from_file(refl)
    numbers = range(len(experiments))
    return [*experiments], [table.select(table["id"] == i) for i in numbers]


def timed(function) -> tuple[float, float]:
    """Best wall and processor time of some calls [s]."""
    wall, cpu = [], []
    for _ in range(REPEATS):
        start, start_cpu = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return min(wall), min(cpu)


def read_only(experiments, images, folders) -> None:
    """Read each frame once, as dxtbx gives it."""
    for c, first, last in zip(images.crystal, images.first, images.last):
        found = find_frame_files(experiments[c], int(first), int(last), folders)
        imageset = open_frames(*found, experiments[c].imageset.params())
        for i in range(len(imageset)):
            imageset.get_raw_data(i)


def main() -> None:
    """Time both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--nproc", type=int, default=2)
    parser.add_argument("--frames", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.files:
            experiments, tables = measured(*args.files)
            folder = str(Path(args.files[0]).parent)
        else:
            experiments, tables = simulated(Path(folder), args.frames)
        images = build_observations(experiments, tables, image_width=5.0).images
        given = (experiments, tables, images, BeamRegion(), [folder])
        bare = timed(lambda: read_only(experiments, images, [folder]))
        one = timed(lambda: measure_beam(*given, nproc=1))
        several = timed(lambda: measure_beam(*given, nproc=args.nproc))
    n = int((images.last - images.first + 1).sum())
    size = experiments[0].detector[0].get_image_size()
    print(f"{n} frames, {len(experiments[0].detector)} panels of {size} pixels")
    print(f"reading alone  {bare[0]:.2f} s ({bare[1]:.2f} s of processor)")
    print(f"with the beam  {one[0]:.2f} s ({one[1]:.2f} s of processor)")
    print(f"ratio {one[0] / bare[0]:.2f} (of processor time {one[1] / bare[1]:.2f})")
    print(
        f"{args.nproc} processes: {several[0]:.2f} s, {one[0] / several[0]:.2f} × as fast"
    )


if __name__ == "__main__":
    main()
