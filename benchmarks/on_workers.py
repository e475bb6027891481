"""
Time and memory of dials.compare_images with observations that stay on Dask workers.

    python benchmarks/on_workers.py EXPT REFL [--crystals 2400 6000] [--workers 2]
                                    [--memory 3GiB] [--no-pairs] [--json FILE]

EXPT and REFL hold some simulated crystals (benchmarks/scale.py says how they are made). Each
worker makes blocks of them, over and over under other numbers, each crystal on a scale of its
own and with new counting noise of the same size (variances are doubled, which is what they
have then), so that no file of all crystals is needed. As in benchmarks/scale.py the best
partners of an image are its copies: times and memory are those of so many images and pairs,
and what is said of the data is that of the few crystals that were simulated.

The scheduler and the workers are processes on this machine that talk by TCP, one thread each.
Every half second the highest resident memory of each is looked at.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import logging
import threading
import time
from pathlib import Path

import numpy as np

from dials_spread import cluster
from dials_spread.in_blocks import comparison
from dials_spread.in_blocks.blocks import BlockColumns, BlockFile, Reading, read_block
from dials_spread.observations import Choices
from dials_spread.observations.right_factors import Asked
from dials_spread.spread.chance.same_orientation import OrientationContrast
from dials_spread.valid_input.columns import READ

PAUSE = 0.5

_simulated: dict = {}


def made_block(how: Reading, task: BlockFile, number: int):
    """Make a block of the simulated crystals: a task for a worker."""
    if task not in _simulated:
        _simulated[task] = read_block(how, task)
    summary, columns = _simulated[task]
    rng = np.random.default_rng(number)
    of_crystal = columns.crystal[
        np.repeat(np.arange(len(columns.crystal)), np.diff(columns.indptr))
    ]
    n = len(summary.number)
    scale = np.exp(0.4 * rng.normal(size=n))[of_crystal]
    noise = rng.normal(size=len(columns.intensity)) * np.sqrt(columns.variance)
    intensity = scale * (columns.intensity + noise)
    made = BlockColumns(
        columns.indptr, columns.crystal, columns.hkl, intensity,
        2 * scale**2 * columns.variance,
    )  # fmt: skip
    keys = summary.keys * np.exp(rng.normal(size=(n, 1)))
    return summary._replace(keys=keys), made


def resident(pid: int) -> float:
    """Memory of a process [GB], and the highest so far; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return float(text.partition("VmHWM:")[2].split()[0]) / 1e6


def processor(pid: int) -> float:
    """Processor time of a process [s]."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Watch(logging.Handler):
    """Notes when each stage was done, and the highest memory of the workers."""

    def __init__(self, pids: list[int]):
        super().__init__()
        self.begin, self.stages, self.pids = time.perf_counter(), [], pids
        self.highest, self.done = 0.0, threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self.done.wait(PAUSE):
            self.highest = max(self.highest, *map(resident, self.pids))

    def emit(self, record: logging.LogRecord) -> None:
        """Note the time."""
        passed = round(time.perf_counter() - self.begin, 1)
        used = round(self.processor(), 1)
        self.stages.append((passed, used, record.getMessage()))
        told = f"{passed:8.1f} s elapsed {used:8.1f} s processor"
        print(f"{told}  {self.highest:.2f} GB  {record.getMessage()}", flush=True)

    def processor(self) -> float:
        """Processor time of the workers and of this process [s]."""
        return sum(map(processor, [*self.pids, os.getpid()]))


def measure(block: tuple[str, str], n_crystals: int, given) -> dict:
    """Compare so many crystals."""
    from distributed import LocalCluster

    how = Reading(Asked(columns=READ), Choices(), True)
    task = BlockFile(block, tuple(str(Path(f).resolve()) for f in block))
    with LocalCluster(
        n_workers=given.workers, threads_per_worker=1, dashboard_address=None,
        host="127.0.0.1", protocol="tcp", memory_limit=given.memory,
        local_directory=given.folder, silence_logs=logging.ERROR,
    ) as own, cluster.on_workers(own.scheduler_address):  # fmt: skip
        pids = [*cluster.on_each_worker(os.getpid).values()]
        watch = Watch(pids)
        logger = logging.getLogger("dials.spread.in_blocks")
        logger.setLevel(logging.INFO)
        logger.addHandler(watch)
        first = [*cluster.told(_number, how, [(task,)])][0]
        numbers = range(-(-n_crystals // first))
        read = cluster.keep(made_block, how, [(task, k) for k in numbers])
        summaries = [*cluster.told(_summary, None, [(one,) for one in read])]
        names = [f"block {k}" for k in numbers]
        found = comparison.compare_blocks(read, summaries, names, names)
        seconds = time.perf_counter() - watch.begin
        used = watch.processor()
        watch.done.set()
        logger.removeHandler(watch)
        alive = [*cluster.on_each_worker(os.getpid).values()]
    result = {
        "crystals": int(found.frame.present.sum()),
        "images": len(found.frame.images),
        "observations": int(found.frame.number.sum()),
        "pairs": len(found.pairs),
        "seconds": seconds,
        "processor": used,
        "worker_memory_GB": watch.highest,
        "own_memory_GB": resident(os.getpid()),
        "workers_lost": len(set(pids) - set(alive)),
        "s": (found.size.s, found.size.low, found.size.high),
        "contrast": found.contrast.as_dict(),
        "stages": watch.stages,
    }
    print(json.dumps({k: v for k, v in result.items() if k != "stages"}), flush=True)
    return result


def _no_pairs(*_):
    """In place of what compares pairs."""
    return {}, OrientationContrast(reason="it was not looked at.")


def _summary(_, read):
    return read[0]


def _number(how: Reading, task: BlockFile) -> int:
    return len(read_block(how, task)[0].number)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("expt")
    parser.add_argument("refl")
    parser.add_argument("--crystals", type=int, nargs="+", default=[2400])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="3GiB", help="of each worker")
    parser.add_argument(
        "--no-pairs", action="store_true", help="end when images are matched"
    )
    parser.add_argument("--folder", help="where workers put what does not fit")
    parser.add_argument("--json")
    given = parser.parse_args()
    if given.no_pairs:
        comparison._compare_pairs = _no_pairs
    found = [measure((given.expt, given.refl), n, given) for n in given.crystals]
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
