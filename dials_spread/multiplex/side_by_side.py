"""
Both placements of the correction, each in a folder of its own, and what they give.

Each is a whole run of xia2.multiplex_corrected in a process of its own: xia2 keeps files,
citations and logs of one run in one process. The two share the cores.

Functions:
    run_both: run them and compare
    statistics_of: merging statistics of one run
    comparison: statistics of several runs as a table, and what to know of them
"""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dials.util.version import dials_version

import dials_spread
from dials_spread.multiplex.arguments import absolute_arguments
from dials_spread.multiplex.section import CITATIONS
from dials_spread.output_files import write_text
from dials_spread.processes import start_program
from dials_spread.report.page.labels import digits
from dials_spread.report.page.log_text import wrapped
from dials_spread.report.page.sections import Section
from dials_spread.report.page.tables import TextTable
from dials_spread.report.page.template import report_page
from dials_spread.rfactor.merging_statistics import LABELS
from dials_spread.versions import available_cores

# Each run has its own log; this one is for what both give.
logger = logging.getLogger("dials.spread.side_by_side")

PLACEMENTS = ("before", "after")
COMMAND = "xia2.multiplex_corrected"
MODULE = "dials_spread.command_line.multiplex_corrected"
PAGE = "xia2.multiplex_corrected.html"
LOG = "xia2.multiplex_corrected.log"
REPORT = "xia2.multiplex.html"

NAMES = {
    **{"n_obs": "n_observations", "n_uniq": "n_unique"},
    **{"multiplicity": "multiplicity", "completeness": "completeness"},
    **{"i_over_sigma_mean": "mean_i_over_sigma", "r_merge": "r_merge"},
    **{"r_meas": "r_meas", "r_pim": "r_pim", "cc_one_half": "cc_half"},
}
"""Merging statistics: by the names of iotbx, those that our labels have."""

SAME_LIMIT = 0.005
"""Å by which two resolution limits may differ and count as one."""


@dataclass(frozen=True)
class Run:
    """
    One of the two runs.

    Attributes:
        placement: "before" or "after".
        seconds: Time it took.
        failed: Its last words; empty where it ended well.
        statistics: Overall merging statistics by data set, with the names of iotbx.
    """

    placement: str
    seconds: float
    failed: str
    statistics: Mapping[str, Mapping]


def statistics_of(folder: Path) -> dict[str, dict]:
    """
    Read the merging statistics of a run of xia2.multiplex.

    Args:
        folder: In which it ran.

    Returns:
        By data set ("All data", clusters, "Filtered"): overall statistics, and d_min [Å].

    Raises:
        ValueError: There are none.
    """
    # Older releases write it into the folder, newer ones into Processing.
    found = sorted(folder.rglob("xia2.multiplex.json"), key=lambda p: len(p.parts))
    if not found:
        raise ValueError(
            f"{folder}: no xia2.multiplex.json; xia2.multiplex.log there says why"
        )
    document = json.loads(found[0].read_text(encoding="utf-8"))
    statistics = {}
    for dataset, entry in document["datasets"].items():
        overall = dict(entry["merging_stats"]["overall"])
        limits = (overall.pop("d_star_sq_min"), overall.pop("d_star_sq_max"))
        overall["d_min"] = 1 / math.sqrt(max(limits))
        statistics[dataset] = overall
    return statistics


def comparison(
    runs: Mapping[str, Mapping[str, Mapping]],
) -> tuple[list[TextTable], list[str]]:
    """
    Put the statistics of several runs side by side.

    Args:
        runs: Statistics by data set, by name of the run.

    Returns:
        A table for each data set that at least one run has, and sentences.
    """
    datasets = list(dict.fromkeys(name for some in runs.values() for name in some))
    tables = []
    for dataset in datasets:
        columns = [some.get(dataset) for some in runs.values()]
        rows = [
            [
                LABELS["d_min"],
                *("" if c is None else f"{c['d_min']:.2f}" for c in columns),
            ]
        ]
        for name, ours in NAMES.items():
            cells = ["" if c is None else digits(c.get(name)) for c in columns]
            rows.append([LABELS[ours], *cells])
        tables.append(TextTable(dataset, ["", *runs], rows))
    return tables, _cautions(runs)


def _cautions(runs: Mapping[str, Mapping[str, Mapping]]) -> list[str]:
    """Say what the statistics cannot tell."""
    first = [some[next(iter(some))] for some in runs.values() if some]
    limits = [some["d_min"] for some in first]
    told = []
    if len(first) > 1:
        figures = [
            f"{LABELS[NAMES[name]]} {' and '.join(digits(s.get(name)) for s in first)}"
            for name in ("r_meas", "cc_one_half", "i_over_sigma_mean")
        ]
        told.append(f"{' and '.join(runs)}: {', '.join(figures)}.")
    if limits and max(limits) - min(limits) > SAME_LIMIT:
        told.append(
            "The resolution limits differ, so these are not the same reflections: give "
            "resolution.d_min to compare them."
        )
    told.append(
        "Agreement of symmetry equivalents is no proof that intensities are right: they "
        "share multi-beam contributions. Which placement is better shows in refinement "
        "against both."
    )
    return told


def _start(placement: str, args: Sequence[str], nproc: int) -> subprocess.Popen:
    folder = Path(placement)
    folder.mkdir(exist_ok=True)
    with (folder / f"{COMMAND}.stderr").open("wb") as errors:
        return start_program(
            [
                *(sys.executable, "-m", MODULE, *args),
                *(f"correct.placement={placement}", f"nproc={nproc}"),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def _ended(placement: str, seconds: float, status: int) -> Run:
    folder = Path(placement)
    errors = folder / f"{COMMAND}.stderr"
    told = errors.read_text(encoding="utf-8", errors="replace").strip()
    errors.unlink()
    if not status:
        try:
            return Run(placement, seconds, "", statistics_of(folder))
        except (ValueError, KeyError) as error:
            told = str(error)
    last = told.splitlines()[-1] if told else f"it ended with status {status}"
    return Run(placement, seconds, last.removeprefix("Sorry: "), {})


def run_both(args: Sequence[str], nproc: int | None = None) -> list[Run]:
    """
    Run xia2.multiplex_corrected with both placements, and write what they give.

    Args:
        args: Of the command line.
        nproc: Cores for both; None for all.

    Returns:
        The two runs.

    Raises:
        ValueError: Both failed.
    """
    own = absolute_arguments(args)
    cores = max(1, (nproc or available_cores()) // len(PLACEMENTS))
    start = time.monotonic()
    waiting = {placement: _start(placement, own, cores) for placement in PLACEMENTS}
    _say("Running both placements, in the folders before and after ...")
    ended: dict[str, Run] = {}
    try:
        while waiting:
            time.sleep(0.2)
            for placement, process in [*waiting.items()]:
                if process.poll() is not None:
                    del waiting[placement]
                    seconds = time.monotonic() - start
                    run = _ended(placement, seconds, process.returncode)
                    ended[placement] = run
                    _say(f"{placement}: {run.failed or 'done'} ({seconds:.0f} s)")
    finally:
        for process in waiting.values():
            process.terminate()
    runs = [ended[placement] for placement in PLACEMENTS]
    if all(run.failed for run in runs):
        raise ValueError("\n".join(dict.fromkeys(run.failed for run in runs)))
    _write(runs)
    return runs


def _write(runs: Sequence[Run]) -> None:
    """Write the statistics to the screen, the log and the page."""
    good = {f"{r.placement} scaling": r.statistics for r in runs if not r.failed}
    tables, told = comparison(good)
    told = [
        f"Warning: {r.placement} scaling: {r.failed}" for r in runs if r.failed
    ] + told
    cited = "Please cite: " + " ".join(CITATIONS)
    files = [
        (f"{r.placement}/{REPORT}", f"report of xia2.multiplex, {r.placement} scaling")
        for r in runs
        if not r.failed
    ]
    texts = [*(t.as_text() for t in tables), *map(wrapped, [*told, cited])]
    text = "\n\n".join(texts) + "\n"
    _say(text)
    write_text(LOG, text)
    document = {
        "command": COMMAND,
        "version": dials_spread.__version__,
        "dials_version": dials_version(),
    }
    section = Section("statistics", "Merging statistics", "Statistics", tables=tables)
    page = report_page(
        document,
        "Correction before and after scaling",
        verdict=told,
        next_steps=[
            "Open the two reports of xia2.multiplex (below), each with a section on the "
            "correction.",
            "Refine the structure against both, with electron form factors, and "
            "compare.",
        ],
        summary=[cited],
        sections=[section],
        written=[*files, (LOG, "these tables"), (PAGE, "this page")],
    )
    write_text(PAGE, page)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
