"""
Steps of dials.compare_images where observations stay on the workers of a cluster.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields

import libtbx.phil
from libtbx import Auto

from dials_spread import cluster, session
from dials_spread.in_blocks.blocks import Reading
from dials_spread.in_blocks.comparison import compare_in_blocks
from dials_spread.observations import Choices
from dials_spread.observations.right_factors import Asked
from dials_spread.output_files import check_outputs
from dials_spread.report.compare_images.blocks_outputs import write_blocks
from dials_spread.report.page.document import Provenance
from dials_spread.valid_input.columns import READ

NOT_HERE = (
    *("pair", "compare_with", "output.filtered", "output.figures", "output.html"),
)
"""Parameters that ask for what takes all observations in one process."""


def compare_kept(
    params,
    phil: libtbx.phil.scope,
    command: str,
    files: Sequence[Sequence[str]],
    log: io.StringIO,
) -> None:
    """
    Let workers read, keep and compare, and write what they find.

    Args:
        params: Of the command.
        phil: Its scope.
        command: Its name.
        files: Names of experiment files, and of reflection files.
        log: What has been logged.

    Raises:
        ValueError: There are no workers, parameters ask for what they do not answer, or
            as in_blocks.comparison.compare_in_blocks.
    """
    changed = session.changed_parameters(phil, params)
    asked_for = [
        c
        for c in changed
        if c.lstrip("'").split("=")[0] in NOT_HERE and not c.endswith("=None")
    ]
    session.gather(
        lambda: cluster.check_blocks(params.dask.scheduler, params.dask.local),
        lambda: check_outputs(params.output, files),
        lambda: _refuse(asked_for),
    )
    expt, refl = files
    how = Reading(
        Asked(params.intensity, params.lp, False, params.allow_pickle, READ),
        Choices(**{f.name: getattr(params, f.name) for f in fields(Choices)}),
        params.spread.error_model,
    )
    matching = params.matching
    angle = matching.same_orientation
    found = compare_in_blocks(
        expt,
        refl,
        how,
        matching.top,
        matching.min_common,
        matching.exclude_same_crystal,
        None if angle is Auto else angle,
        params.seed,
    )
    used = session.parameters(phil, params)
    write_blocks(found, Provenance(command, found.files, used), params.output, log)


def _refuse(asked_for: Sequence[str]) -> None:
    if asked_for:
        raise ValueError(
            f"{' '.join(asked_for)}: not with dask.observations=workers, where no process "
            "holds all observations"
        )
