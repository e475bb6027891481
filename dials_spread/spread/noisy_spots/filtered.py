"""
A reflection table with noisy spots set aside.

The flag excluded_for_scaling keeps them out of dials.merge, dials.export and whatever
else goes through DIALS's filters, so it is for scaled data. dials.scale reads such a table,
too, but takes all flags of earlier scaling off before it begins (dials pull request
1276) and uses the spots again; to scale without them they have to be left out.

Functions:
    set_aside: tables as they were, with excluded_for_scaling set for some rows
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations import Observations
from dials_spread.valid_input.columns import conflicting_columns


def set_aside(
    experiments: Sequence[Experiment],
    tables: Sequence[flex.reflection_table],
    observations: Observations,
    noisy: np.ndarray,
    leave_out: bool = False,
) -> flex.reflection_table:
    """
    Put all reflections into one table, noisy ones flagged as excluded_for_scaling.

    No other flag or column changes and, unless that is asked for, nothing is deleted.

    Args:
        experiments: One a crystal.
        tables: The reflections of each; they are not changed.
        observations: Of these.
        noisy: Shape (observations,), bool.
        leave_out: Leave noisy rows out instead, for dials.scale.

    Returns:
        The table; its ids count the experiments, its identifiers are theirs.
    """
    parts = []
    for number, (experiment, table) in enumerate(zip(experiments, tables)):
        part = table.copy()
        rows = observations.row[noisy & (observations.crystal == number)]
        chosen = flex.bool(len(part), False)
        chosen.set_selected(flex.size_t(np.unique(rows).astype(np.uint64)), True)
        part.set_flags(chosen, part.flags.excluded_for_scaling)
        if leave_out:
            part = part.select(~chosen)
        part["id"] = flex.int(len(part), number)
        names = part.experiment_identifiers()
        for key in list(names.keys()):
            del names[key]
        if experiment.identifier:
            names[number] = experiment.identifier
        parts.append(part)
    for name in conflicting_columns(parts):
        for part in parts:
            if name in part:
                del part[name]
    joined = parts[0]
    for part in parts[1:]:
        joined.extend(part)
    return joined
