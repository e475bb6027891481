"""Observations that dials.scale rejected as outliers, in a real scaled table."""

from __future__ import annotations

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model


def test_without_what_was_rejected_smaller_errors_are_expected(read_measured):
    experiments, tables = read_measured("quartz/scaled")
    rejected = tables[0].flags.outlier_in_scaling
    n = sum(t.get_flags(rejected).count(True) for t in tables)
    found = {}
    for keep in (False, True):
        subject = get_subject(experiments, tables, nproc=1, keep_outliers=keep)
        result = correct_intensities(
            subject, choose_model(), nproc=1, reference="quartz"
        )
        found[keep] = subject, result
        told = [w for w in result.warnings if "dials.scale rejected" in w]
        assert len(told) == (not keep)
        if told:
            dropped = subject.observations.dropped["outlier in scaling"]
            assert 0 < dropped <= n and f"rejected {dropped:,} of " in told[0]
    (fewer, without), (more, kept) = found[False], found[True]
    assert len(more.observations) - len(fewer.observations) >= 0.02 * len(
        more.observations
    )
    expected = [r.estimate.predicted_r1 for r in (without, kept)]
    true = [r.truth.r1[1] for r in (without, kept)]
    assert expected[1] > 1.05 * expected[0]
    assert true[1] < true[0]
