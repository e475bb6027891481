"""From a label of the log to the formula in at most two files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import dials_spread
from dials_spread.report.ml_correct.before_after import compare
from dials_spread.report.ml_correct.correction_sections import log_tables
from dials_spread.report.ml_correct.correction_sentences import correction_sentences
from dials_spread.report.ml_correct.correction_tables import summary_table
from dials_spread.report.ml_correct.correction_verdict import correction_verdict

PACKAGE = Path(dials_spread.__file__).parent
STATISTICS = "rfactor/merging_statistics.py"
SENTENCES = "report/ml_correct/correction_sentences.py"
VERDICT = "report/ml_correct/correction_verdict.py"

# Label, the file that a grep of it finds, the file with the formula, its function.
WAYS = [
    ("R_merge", STATISTICS, STATISTICS, "r_merge"),
    ("R_meas", STATISTICS, "rfactor/merging.py", "r_meas"),
    ("R_pim", STATISTICS, STATISTICS, "r_pim"),
    ("CC½", STATISTICS, "rfactor/merging.py", "cc_half"),
    ("⟨I/σ⟩", STATISTICS, STATISTICS, "mean_i_over_sigma"),
    ("completeness [%]", STATISTICS, STATISTICS, "possible_reflections"),
    (
        "⟨E⁴⟩/⟨E²⟩²",
        "rfactor/wilson_statistics.py",
        "rfactor/wilson_statistics.py",
        "fourth_moment",
    ),
    (
        "Median correction factor",
        SENTENCES,
        "correction/apply/estimates.py",
        "observation_factors",
    ),
    (
        "Expected R1 against kinematic Fc",
        VERDICT,
        "correction/apply/expected_r1.py",
        "expected_r1",
    ),
    ("Σ|ΔF|/ΣF", VERDICT, "correction/apply/changes.py", "describe_changes"),
    ("Median χ²", SENTENCES, "correction/apply/changes.py", "describe_agreement"),
    (
        "rank correlation of predicted with true errors",
        SENTENCES,
        "correction/apply/error_law.py",
        "coverage",
    ),
    ("R1 against kinematic Fc", VERDICT, "rfactor/r1.py", "r_factors"),
    ("ΣF after / before", VERDICT, "correction/apply/changes.py", "describe_changes"),
    (
        "expected error / ΣF after",
        VERDICT,
        "correction/apply/changes.py",
        "describe_changes",
    ),
    ("factor of I", VERDICT, "correction/apply/estimates.py", "observation_factors"),
    ("Independent observations", SENTENCES, "observations/table.py", "crossings"),
]


@pytest.mark.parametrize("label, first, second, function", WAYS)
def test_a_label_leads_to_its_formula(label, first, second, function):
    text = (PACKAGE / first).read_text(encoding="utf-8")
    assert f'"{label}"' in text
    assert re.search(
        rf"^ *def {function}\(", (PACKAGE / second).read_text("utf-8"), re.M
    )
    if first != second:
        module = second[:-3].replace("/", ".")
        assert second in text or f"dials_spread.{module} import" in text
        assert function in text


def test_the_labels_are_printed(correct):
    result = correct(7, "dynamical", 600.0, known=True)
    pair, verdict = compare(result), correction_verdict(result)
    figures = [row[0] for row in summary_table(result, pair, verdict).rows]
    tables = log_tables(result, pair)
    printed = " ".join(
        [
            *figures,
            *correction_sentences(result, pair),
            *(label for table in tables for label in table.header),
        ]
    )
    repeated = replace(result, estimate=replace(result.estimate, n_passages=1))
    printed += " ".join(correction_sentences(repeated, pair))
    for label, *_ in WAYS:
        assert label in printed
