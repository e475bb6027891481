"""
The files that the programs of the branches are given.

Functions:
    files_for_programs: those of the user, or copies that DIALS takes rightly
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from dials.array_family import flex

from dials_spread.correction.apply.corrected_files import join, write_corrected
from dials_spread.input_files import Input
from dials_spread.observations.right_factors import AS_READ, without_as_read

logger = logging.getLogger("dials.spread.placement")

NAMES = ("right_lp.expt", "right_lp.refl")


def files_for_programs(data: Input, given: Sequence[str], folder: Path) -> list[str]:
    """
    Give the files that dials.scale and dials.ml_correct are to read.

    dials.scale multiplies by the column `lp` as it stands. Where that is not the Lorentz
    and polarisation factor, or DIALS 3.12 has imported XDS files without flags, copies
    with the right columns are written.

    Args:
        data: What was read of them, with the right factors.
        given: Their names.
        folder: Where copies are written.

    Returns:
        Names.

    Raises:
        OSError: Copies cannot be written.
    """
    changed = any(AS_READ in table for table in data.tables)
    names = data.files[max(data.dataset) + 1 :]
    if not changed and all(
        "flags" in flex.reflection_table.from_file(name) for name in names
    ):
        return [*given]
    folder.mkdir(parents=True, exist_ok=True)
    expt, refl = (str(folder / name) for name in NAMES)
    tables = [without_as_read(table) for table in data.tables]
    write_corrected(*join(data.experiments, tables), expt, refl)
    logger.info("All branches start from %s and %s.", expt, refl)
    return [expt, refl]
