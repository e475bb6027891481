"""
What a correction did, in tables.

Functions:
    summary_table: the figures that matter, before and after
    facts_of: the same as names and values
    merging_table: merging statistics by shell
    most_changed_table: the reflections that changed most
    changes_tables: by resolution, strength and crystal
    reference_tables: R1 against a reference
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dials_spread.correction import CorrectionResult
from dials_spread.correction.apply.against_reference import ReferenceCheck
from dials_spread.correction.apply.changes import Change
from dials_spread.report.ml_correct.before_after import BeforeAfter
from dials_spread.report.ml_correct.correction_verdict import (
    EXPECTED_ERROR,
    FACTOR_OF_I,
    R1_LABEL,
    RATIO,
    RELATIVE_CHANGE,
    CorrectionVerdict,
)
from dials_spread.report.page.labels import digits, hkl_label
from dials_spread.report.page.tables import TextTable
from dials_spread.rfactor.merging_statistics import LABELS, ShellStatistics
from dials_spread.rfactor.wilson_statistics import FOURTH_MOMENT, mixed_moment

MOST_CRYSTALS = 50
"""Rows of the table of crystals."""

MOST_REFLECTIONS = 20
"""Rows of the table of reflections that changed most."""

COMPARED = ("mean_i_over_sigma", "r_merge", "r_meas", "r_pim", "cc_half")
"""Merging statistics that a correction changes; the others depend on indices alone."""


def _decimals(value: float, key: str) -> str:
    """Write a merging statistic with the decimals that are usual."""
    if not np.isfinite(value):
        return digits(value)
    told = f"{value:.1f}" if key == "mean_i_over_sigma" else f"{value:.3f}"
    return told.replace("-", "−")


def summary_table(
    result: CorrectionResult, pair: BeforeAfter, verdict: CorrectionVerdict
) -> TextTable:
    """
    Tabulate the figures that matter, before and after.

    Args:
        result: The correction.
        pair: The same as two data sets.
        verdict: Of the correction.
    """
    before, after = pair.before.statistics.overall, pair.after.statistics.overall
    rows = [
        [LABELS[key], *(_decimals(getattr(s, key), key) for s in (before, after)), ""]
        for key in COMPARED
    ]
    old, new = result.fourth_moments
    expected = f"{mixed_moment(pair.centric):.2f} (many equal atoms; no verdict)"
    rows.append([FOURTH_MOMENT, f"{old:.2f}", f"{new:.2f}", expected])
    told = result.expected if result.strength > 0 else None
    model = "" if told is None else f"{told.value:.3f} (model)"
    known = (verdict.r1_before, verdict.r1_after)
    if model or known[0] is not None:
        of_reference = ["" if r1 is None else f"{r1:.3f}" for r1 in known]
        weights = f" ({verdict.weights_before})" if verdict.weights_before else ""
        of_reference[0] += weights
        rows.append([R1_LABEL, *of_reference, model])
    return TextTable(
        "Before and after", ["figure", "before", "after", "expected"], rows
    )


def facts_of(table: TextTable) -> list[tuple[str, str]]:
    """
    Give figures as names and values, before → after.

    Args:
        table: From summary_table.
    """
    told = []
    for name, *values, expected in table.rows:
        value = " → ".join(v for v in values if v)
        more = f"expected {expected}" if expected else ""
        told.append((name, ", ".join(t for t in (value, more) if t)))
    return told


def merging_table(pair: BeforeAfter) -> TextTable:
    """
    Tabulate merging statistics by shell, before → after.

    Args:
        pair: The two data sets.
    """
    header = [LABELS["d_max"], LABELS["d_min"]]
    header += [LABELS[k] for k in ("n_observations", "n_unique")]
    header += [LABELS[k] for k in ("multiplicity", "completeness", *COMPARED)]
    before, after = pair.before.statistics, pair.after.statistics
    rows = [_merging_row(a, b) for a, b in zip(before.by_shell, after.by_shell)]
    rows.append(_merging_row(before.overall, after.overall))
    title = "Merging statistics by resolution shell, before → after (last row: overall)"
    return TextTable(title, header, rows)


def _merging_row(before: ShellStatistics, after: ShellStatistics) -> list[str]:
    fixed = [
        f"{before.d_max:.2f}",
        f"{before.d_min:.2f}",
        f"{before.n_observations:,}",
        f"{before.n_unique:,}",
        f"{before.multiplicity:.2f}",
        f"{100 * before.completeness:.1f}",
    ]
    return fixed + [
        " → ".join(_decimals(getattr(side, key), key) for side in (before, after))
        for key in COMPARED
    ]


def most_changed_table(pair: BeforeAfter, n: int = MOST_REFLECTIONS) -> TextTable:
    """
    Tabulate the reflections whose |F| changed most.

    Args:
        pair: The two data sets.
        n: Rows.
    """
    known = pair.predicted_sigma_F
    sigma = pair.after.sigma_F if known is None else known
    header = ["h k l", "d [Å]", "|F| before", "σ", "|F| after"]
    header += ["σ" if known is None else "σ predicted", "observations", FACTOR_OF_I]
    rows = [
        [
            hkl_label(pair.miller_index[k]),
            f"{pair.d_spacing[k]:.2f}",
            digits(pair.before.F[k]),
            digits(pair.before.sigma_F[k]),
            digits(pair.after.F[k]),
            digits(sigma[k]),
            digits(int(pair.n[k])),
            "additive offset" if pair.has_offset[k] else f"{pair.factor[k]:.2f}",
        ]
        for k in pair.most_changed(n)
        if pair.after.F[k] != pair.before.F[k]
    ]
    return TextTable("Reflections that changed most", header, rows)


def _changes(title: str, first: str, changes: Sequence[Change]) -> TextTable:
    has_error = any(c.error is not None for c in changes)
    header = [first, "n", RATIO, RELATIVE_CHANGE]
    rows = [
        [c.group, digits(c.n), digits(c.ratio), digits(c.change)]
        + ([digits(c.error)] if has_error else [])
        for c in changes
    ]
    return TextTable(title, header + [EXPECTED_ERROR] * has_error, rows)


def changes_tables(result: CorrectionResult) -> list[TextTable]:
    """
    Tell where amplitudes were changed.

    Args:
        result: The correction.
    """
    titles = {
        "resolution": ("Amplitudes by resolution", "d"),
        "strength": ("Amplitudes by strength (E before, ⟨E²⟩ = 1)", "E"),
        "crystal": ("Amplitudes of observations by crystal", "crystal"),
    }
    return [
        _changes(*titles[key], result.changes[key][:MOST_CRYSTALS]) for key in titles
    ]


def settings_table(truth: ReferenceCheck) -> TextTable:
    """
    Tabulate the reindexing operators that were tried on a reference.

    Args:
        truth: Before and after.
    """
    rows = [
        [s.operator, digits(s.r1), digits(s.cc), digits(s.n), "in use" * (k == 0)]
        for k, s in enumerate(truth.match.settings)
    ]
    match = truth.match
    told = f"{match.chance_r1:.3f} ± {match.chance_sd:.3f}"
    rows.append(["amplitudes shuffled in shells", told, "", "", "expected by chance"])
    return TextTable(
        f"Reindexing operators of {Path(truth.reference.source).name}",
        ["operator", "R1", "CC", "n", ""],
        rows,
    )


_GROUPS = {
    "merged": "merged data (equal weights before, 1/σ² after)",
    "shell": "merged data by shell, each with its own scale",
    "crystal": "each crystal on its own",
}


def reference_tables(truth: ReferenceCheck) -> list[TextTable]:
    """
    Tabulate R1.

    Args:
        truth: Before and after.
    """
    header = ["before", "after", "n", "before, I > 2σ", "after, I > 2σ", "n, I > 2σ"]
    tables = [settings_table(truth)]
    shells = truth.before.shells
    names = {
        "merged": ["all"],
        "shell": [f"{a:.2f}–{b:.2f} Å" for a, b in zip(shells.d_max, shells.d_min)],
        "crystal": [str(k) for k in range(len(truth.before.crystal))],
    }
    for key, groups in names.items():
        a, b = getattr(truth.before, key), getattr(truth.after, key)
        rows = [
            [name, digits(a.r1[k]), digits(b.r1[k]), digits(int(a.n[k]))]
            + [
                digits(a.r1_strong[k]),
                digits(b.r1_strong[k]),
                digits(int(b.n_strong[k])),
            ]
            for k, name in enumerate(groups[:MOST_CRYSTALS])
        ]
        tables.append(TextTable(f"{R1_LABEL}, {_GROUPS[key]}", [key, *header], rows))
    return tables
