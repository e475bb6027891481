"""
What the columns of a reflection table say: which intensity is used, which reflections
are left out, and where in the scan they are.

The choice is made once for all input, section by section as dials.scale and
dials.export make it: the scaled value is ``intensity.scale.value`` divided by
``inverse_scale_factor``; profile-fitted and summed values carry the Lorentz-
polarisation factor and the quantum efficiency of the detector as dials.scale applies
them, and summed ones the partiality.

Functions:
    choose_intensity: one of scale, profile, sum for all tables
    intensity_and_variance: the two columns of one table
    amplitudes: of merged or single intensities
    lacks_lp, applied_corrections: which corrections the columns have for them
    find_dropped: the reason for which each reflection is left out
    centroid_array_index: where in the scan each reflection is
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.observations.indices import Absences
from dials_spread.valid_input.values import rows_of_kind
from dials_spread.versions import is_still

CHOICES = ("scale", "profile", "sum")
COLUMN = {"scale": "scale", "profile": "prf", "sum": "sum"}

# In the order in which they are tested: a reflection is counted once, under the
# first that applies.
REASONS = (
    "no experiment",
    "no Miller index",
    "not integrated",
    "not scaled",
    "excluded for scaling",
    "outlier in scaling",
    "centroid not finite",
    "intensity not finite",
    "variance not positive and finite",
    "partiality too low",
    "next to the rotation axis",
    "systematically absent",
)


def is_scaled(table: flex.reflection_table) -> bool:
    """Say whether a table has been through dials.scale."""
    return "intensity.scale.value" in table and "inverse_scale_factor" in table


def _has(table: flex.reflection_table, choice: str) -> bool:
    if choice == "scale":
        return is_scaled(table)
    column = f"intensity.{COLUMN[choice]}.value"
    if column not in table:
        return False
    if choice == "sum":
        return True
    return table.get_flags(table.flags.integrated_prf).count(True) > 0


def refuse_mixed(scaled: int, n: int) -> None:
    """
    Refuse scaled and unscaled tables together.

    Args:
        scaled: Tables that are scaled.
        n: All tables.

    Raises:
        ValueError: There are both.
    """
    if 0 < scaled < n:
        raise ValueError(
            f"Scaled and unscaled reflections are mixed: {scaled} of {n} "
            "tables are scaled. Scale them together, or give the integrated files of "
            "all of them"
        )


def choose_intensity(tables: Sequence[flex.reflection_table], choice: str) -> str:
    """
    Choose one kind of intensity for all tables.

    Args:
        tables: The input tables; empty ones have no say.
        choice: "auto", "scale", "profile" or "sum".

    Returns:
        "scale", "profile" or "sum". "auto" is "scale" where every table is scaled,
        else "profile" where every table has profile-fitted reflections, else "sum".

    Raises:
        ValueError: Scaled and unscaled tables are mixed, or the values asked for
            are not in every table.
    """
    tables = [table for table in tables if len(table)]
    scaled = sum(is_scaled(table) for table in tables)
    refuse_mixed(scaled, len(tables))
    if choice == "auto":
        for candidate in CHOICES:
            if all(_has(table, candidate) for table in tables):
                return candidate
        raise ValueError("No kind of intensity is present in every reflection table")
    lacking = sum(not _has(table, choice) for table in tables)
    if lacking:
        raise ValueError(
            f"intensity={choice}: {lacking} of {len(tables)} reflection tables have "
            "no such intensities"
        )
    return choice


def _column(table: flex.reflection_table, name: str) -> np.ndarray:
    return table[name].as_numpy_array().astype(float)


def lacks_lp(table: flex.reflection_table) -> bool:
    """
    Say whether the Lorentz factor is not in a table.

    Args:
        table: n reflections.

    Returns:
        True where there is no column lp, or it is one constant: 1 throughout, or any
        other in more than one row.
    """
    if "lp" not in table:
        return True
    lp = _column(table, "lp")
    if len(lp) > 1:
        return bool(np.all(lp == lp[0]))
    return bool(np.all(lp == 1.0))


def applied_corrections(
    tables: Sequence[flex.reflection_table], choice: str
) -> tuple[str, ...]:
    """
    Name the corrections that every table has and that are applied on reading.

    Args:
        tables: The input tables; empty ones have no say.
        choice: "scale", "profile" or "sum".

    Returns:
        Of "lp", "qe" and "partiality", those applied; none to scaled values, which
        dials.scale has corrected.
    """
    tables = [table for table in tables if len(table)]
    if choice == "scale" or not tables:
        return ()
    found = {
        "lp": not any(lacks_lp(table) for table in tables),
        "qe": all("qe" in table or "dqe" in table for table in tables),
        "partiality": choice == "sum" and all("partiality" in t for t in tables),
    }
    return tuple(name for name, there in found.items() if there)


def _correction(table: flex.reflection_table, choice: str) -> np.ndarray:
    """Give lp / qe (and 1 / partiality for summed values) as dials.scale applies it."""
    factor = np.ones(len(table))
    if "lp" in table and _column(table, "lp").any():  # 0 is of a column never filled
        factor *= _column(table, "lp")
    for name in ("qe", "dqe"):  # dqe: the name before DIALS 1.14
        if name in table:
            factor /= _column(table, name)
            break
    if choice == "sum" and "partiality" in table:
        factor /= _column(table, "partiality")
    return factor


def intensity_and_variance(
    table: flex.reflection_table, choice: str
) -> tuple[np.ndarray, np.ndarray]:
    """
    Give the intensities of one table and their variances.

    Args:
        table: n reflections.
        choice: "scale", "profile" or "sum".

    Returns:
        Two arrays of shape (n,). A value that cannot be computed (a scale, an
        efficiency or a partiality of zero) is not finite.
    """
    if not len(table):  # may lack the columns
        return np.empty(0), np.empty(0)
    name = COLUMN[choice]
    value = _column(table, f"intensity.{name}.value")
    variance = _column(table, f"intensity.{name}.variance")
    with np.errstate(divide="ignore", invalid="ignore"):
        if choice == "scale":
            factor = 1 / _column(table, "inverse_scale_factor")
        else:
            factor = _correction(table, choice)
        return value * factor, variance * factor**2


def _flagged(table: flex.reflection_table, flag: int, all_bits: bool = True):
    return table.get_flags(flag, all=all_bits).as_numpy_array()


def _not_integrated(table: flex.reflection_table, choice: str) -> np.ndarray:
    kinds = ("prf", "sum") if choice == "scale" else (COLUMN[choice],)
    return ~np.any([rows_of_kind(table, kind) for kind in kinds], axis=0)


def amplitudes(intensity: np.ndarray) -> np.ndarray:
    """Give F_o = √max(I, 0), of the shape of the intensities."""
    return np.sqrt(np.maximum(intensity, 0.0))


def find_dropped(
    table: flex.reflection_table,
    choice: str,
    intensity: np.ndarray,
    variance: np.ndarray,
    absences: Absences,
    partiality_cutoff: float,
    keep_outliers: bool,
    min_zeta: float = 0.0,
) -> np.ndarray:
    """
    Find the reflections that are left out, and why.

    Args:
        table: n reflections, with ``id`` and ``miller_index``.
        choice: The intensity in use.
        intensity: Shape (n,).
        variance: Shape (n,).
        absences: The systematic ones.
        partiality_cutoff: Lowest partiality kept, as ``cut_data.partiality_cutoff``
            of dials.scale.
        keep_outliers: Keep what dials.scale rejected as outliers.
        min_zeta: Least |zeta| kept, where the table tells it: nearer to the rotation
            axis a reflection hardly passes the Ewald sphere. dials.integrate leaves
            such out, by filter.min_zeta; converters do not.

    Returns:
        Shape (n,), int8: an index into REASONS, or -1 for a reflection that is kept.
    """
    n = len(table)
    flags = table.flags
    hkl = table["miller_index"]
    none = np.zeros(n, dtype=bool)
    scaled = choice == "scale"
    excluded = flags.excluded_for_scaling | flags.user_excluded_in_scaling
    low = none
    if "partiality" in table:
        low = _column(table, "partiality") < partiality_cutoff
    tests = (
        table["id"].as_numpy_array() < 0,
        (hkl == (0, 0, 0)).as_numpy_array(),
        _not_integrated(table, choice),
        _not_scaled(table) if scaled else none,
        _flagged(table, excluded, all_bits=False),
        none if keep_outliers else _flagged(table, flags.outlier_in_scaling),
        ~np.isfinite(_centroids(table)).all(axis=1),
        ~np.isfinite(intensity),
        ~(np.isfinite(variance) & (variance > 0)),
        low,
        _next_to_axis(table, min_zeta),
        absences.among(hkl),
    )
    dropped = np.full(n, -1, dtype=np.int8)
    for reason, test in enumerate(tests):
        dropped[(dropped < 0) & test] = reason
    return dropped


def _next_to_axis(table: flex.reflection_table, min_zeta: float) -> np.ndarray:
    if "zeta" not in table:
        return np.zeros(len(table), dtype=bool)
    zeta = np.abs(_column(table, "zeta"))
    # Zeros throughout are of a column that nobody filled.
    return (zeta < min_zeta) & bool(np.any(zeta > 0))


def _not_scaled(table: flex.reflection_table) -> np.ndarray:
    scale = _column(table, "inverse_scale_factor")
    return ~(np.isfinite(scale) & (scale > 0) & rows_of_kind(table, "scale"))


def centroid_column(table: flex.reflection_table) -> str:
    """
    Name the column of calculated centroids [px, px, array index] or [mm, mm, rad].

    Raises:
        ValueError: The table has none.
    """
    for name in ("xyzcal.px", "xyzcal.mm", "xyzobs.px.value"):
        if name in table:
            return name
    raise ValueError("A reflection table has neither xyzcal.px nor xyzcal.mm")


def centroid_array_index(
    experiment: Experiment, table: flex.reflection_table
) -> np.ndarray:
    """
    Give the array index z of each calculated centroid.

    Args:
        experiment: The experiment of all reflections in the table.
        table: n reflections.

    Returns:
        Shape (n,); 0 for a still. Image number N of a scan covers N - 1 ≤ z < N.
    """
    if is_still(experiment):
        return np.zeros(len(table))
    name = centroid_column(table)
    position = table[name].as_numpy_array().reshape(-1, 3)
    z = position[:, 2].copy()
    if name == "xyzcal.mm":
        start, width = experiment.scan.get_oscillation(deg=False)
        z = experiment.scan.get_array_range()[0] + (z - start) / width
        if "xyzobs.px.value" in table:
            # Old tables have zeros where nothing was predicted.
            unpredicted = ~position.any(axis=1)
            observed = table["xyzobs.px.value"].as_numpy_array().reshape(-1, 3)
            z[unpredicted] = observed[unpredicted, 2]
    return z


def _centroids(table: flex.reflection_table) -> np.ndarray:
    return table[centroid_column(table)].as_numpy_array().reshape(-1, 3)
