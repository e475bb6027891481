"""What the report claims of simulated data, against their true amplitudes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.correction.apply.estimates import amplitude_sigma
from dials_spread.report.ml_correct.before_after import compare
from dials_spread.report.ml_correct.correction_outputs import (
    correction_document,
    correction_parts,
)
from dials_spread.report.ml_correct.correction_sections import log_tables
from dials_spread.report.ml_correct.correction_sentences import correction_sentences
from dials_spread.report.ml_correct.correction_tables import (
    merging_table,
    most_changed_table,
    summary_table,
)
from dials_spread.report.ml_correct.correction_verdict import (
    NOT_SOLVED,
    correction_verdict,
    next_steps,
    verdict_of,
)
from dials_spread.report.page.document import Provenance
from dials_spread.report.page.log_text import steps_text
from dials_spread.rfactor.r1 import r1_gain

SEEDS = (7, 8, 9, 10)
THICK = 600.0
OUTPUT = SimpleNamespace(
    experiments="a.expt", reflections="a.refl", merged=None, json="a.json", html=None
)


def document(result) -> dict:
    provenance = Provenance("dials.ml_correct", ["a.expt"], {})
    pair, verdict = compare(result), correction_verdict(result)
    return json.loads(
        json.dumps(correction_document(provenance, result, pair, verdict))
    )


def test_data_without_a_sign_of_multiple_scattering_stay_as_they_are(correct):
    result = correct(7, "kinematic", THICK, strength=None)
    assert result.strength == 0 and result.by_evidence
    verdict = correction_verdict(result)
    assert verdict.headline.startswith("NOT CORRECTED: no sign of multiple scattering")
    assert "left as they are" in verdict.headline
    np.testing.assert_array_equal(result.column, 1)
    assert result.inflation is None and result.common is None
    np.testing.assert_array_equal(result.F, result.F_before)
    told = " ".join(correction_sentences(result, compare(result)))
    assert f"probability {result.estimate.evidence.probability:.2f}" in told
    thick = correct(7, "dynamical", THICK, strength=None)
    assert thick.strength == 1 and thick.by_evidence
    assert correction_verdict(thick).kind == "not tested"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_no_improvement_is_claimed_of_kinematic_data(correct, seed):
    alone = correction_verdict(correct(seed, "kinematic"))
    assert alone.kind == "no certain improvement"
    assert alone.headline.startswith("NO CERTAIN IMPROVEMENT")
    known = correction_verdict(correct(seed, "kinematic", known=True))
    assert known.kind in ("worse", "no certain improvement")
    assert known.r1_after > known.r1_before - 2 * known.r1_gain_su


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_an_improvement_that_is_there_is_claimed(correct, seed):
    known = correction_verdict(correct(seed, "dynamical", THICK, known=True))
    assert known.kind == "improved" and known.headline.startswith("IMPROVED")
    assert known.r1_gain > 2 * known.r1_gain_su > 0
    # Without the truth nothing is claimed but what was done.
    alone = correction_verdict(correct(seed, "dynamical", THICK))
    assert alone.kind == "not tested" and alone.headline.startswith("CORRECTED, NOT")
    told = " ".join([alone.headline, *alone.reasons])
    assert "improve" not in told and "cannot be told" in told
    assert "not a refinement R1" in told


@pytest.mark.slow
def test_the_r1_of_a_verdict_are_those_of_the_true_amplitudes(correct):
    """R1 by its definition, on a grid of scales, of what the corrected table gives."""
    result = correct(7, "dynamical", THICK, known=True)
    verdict, f_c = correction_verdict(result), result.truth.match.f_calc
    for F, r1 in ((result.F_before, None), (result.F, verdict.r1_after)):
        k = np.linspace(0.5, 2, 20001)[:, None] * f_c.sum() / F.sum()
        found = (np.abs(k * F - f_c).sum(axis=1) / f_c.sum()).min()
        if r1 is None:
            assert verdict.r1_before <= found + 1e-6
        else:
            assert found == pytest.approx(r1, abs=1e-5)


def test_strength_0_claims_nothing(correct):
    result = correct(7, "dynamical", THICK, strength=0.0)
    pair, verdict = compare(result), correction_verdict(result)
    assert verdict.kind == "not corrected" and verdict.change == 0
    np.testing.assert_array_equal(pair.before.F, pair.after.F)
    assert pair.before.statistics == pair.after.statistics
    assert not pair.has_offset.any() and not most_changed_table(pair).rows
    for changes in result.changes.values():
        assert all(c.change in (0, pytest.approx(0)) for c in changes if c.n)
    told = " ".join(correction_sentences(result, pair))
    for word in ("changed", "offset", "Expected R1", "Median correction"):
        assert word not in told
    known = correct(7, "dynamical", THICK, known=True, strength=0.0)
    told = correction_verdict(known)
    assert told.headline.startswith("NOT CORRECTED: strength=0")
    titles = [table.title for table in log_tables(result, pair)]
    assert len(titles) == 1 and titles[0].startswith("Merging statistics")
    parts = correction_parts(result, pair, verdict, OUTPUT)
    assert "reflections" not in [section.name for section in parts.sections]
    assert "a.refl" not in steps_text(parts.steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wave, known, strength",
    [("dynamical", True, 1.0), ("dynamical", False, 0.5), ("kinematic", False, 1.0)],
)
def test_every_number_that_is_told_is_in_the_json(correct, wave, known, strength):
    """Of R1, changes, merging statistics and moments: rounded from the document."""
    result = correct(8, wave, THICK, known=known, strength=strength)
    pair, verdict, told = compare(result), correction_verdict(result), document(result)
    text = " ".join(
        [verdict.headline, *verdict.reasons, *correction_sentences(result, pair)]
    )
    merging = told["merging_statistics"]
    figures = {row[0]: row for row in summary_table(result, pair, verdict).rows}
    for label, key in (
        ("R_merge", "r_merge"),
        ("R_meas", "r_meas"),
        ("R_pim", "r_pim"),
        ("CC½", "cc_half"),
        ("⟨I/σ⟩", "mean_i_over_sigma"),
    ):
        for number, side in zip(figures[label][1:], ("before", "after")):
            expected = merging[side]["overall"][key]
            assert float(number) == pytest.approx(expected, rel=0.01, abs=6e-4), label
        assert f"{label} 0" not in text, "the table has it"
    correction = told["correction"]
    number = re.search(r"\|F\| changed by (\S+) %", text).group(1)
    change = correction["changes"]["all"][0]["change"]
    assert float(number) == pytest.approx(100 * change, abs=0.051)
    assert verdict.change == change == told["verdict"]["change"]
    assert "⟨E⁴⟩" not in text, "the table has it"
    for number, side in zip(figures["⟨E⁴⟩/⟨E²⟩²"][1:], ("before", "after")):
        expected = correction["fourth_moments"][side]
        assert float(number) == pytest.approx(expected, abs=0.0051)
    factor = re.search(r"Median correction factor of intensities (\S+) ", text).group(1)
    assert float(factor) == pytest.approx(correction["factors"]["median"], abs=6e-4)
    number = figures["R1 against kinematic Fc"][3].removesuffix(" (model)")
    assert float(number) == pytest.approx(correction["predicted_r1"], abs=6e-4)
    if known:
        found = re.search(
            r"cif (\S+) before \(merged.*?\), (\S+) after, difference (\S+) ±", text
        )
        keys = ("r1_before", "r1_after", "r1_gain")
        for number, key in zip(found.groups(), keys):
            number = number.replace("−", "-")
            assert float(number) == pytest.approx(told["verdict"][key], abs=6e-4)
        assert told["r1"]["after"]["merged"]["r1"] == told["verdict"]["r1_after"]


def test_merging_statistics_stand_in_table_and_json_alike(correct):
    result = correct(8, "dynamical", THICK)
    pair, told = compare(result), document(result)["merging_statistics"]
    table = merging_table(pair)
    shells = [*told["before"]["by_shell"], told["before"]["overall"]]
    assert len(table.rows) == len(shells) == 11
    column = table.header.index("R_meas")
    for row, shell in zip(table.rows, shells):
        assert row[column].startswith(f"{shell['r_meas']:.3f} → ")
        assert row[table.header.index("unique")] == f"{shell['n_unique']:,}"
    assert told["friedel_mates_merged"] and told["space_group"] == "P 21 21 21"
    n = [len(told["r_merge_by_crystal"][k]) for k in ("before", "after")]
    assert n == [4, 4]


def test_the_summary_comes_first_and_the_log_ends_with_what_to_do(correct):
    result = correct(8, "dynamical", THICK)
    pair, verdict = compare(result), correction_verdict(result)
    parts = correction_parts(result, pair, verdict, OUTPUT)
    assert parts.headline == verdict.headline
    assert [s.name for s in parts.sections][:2] == ["amplitudes", "merging"]
    figures = summary_table(result, pair, verdict)
    assert figures.rows[0][0] == "⟨I/σ⟩" and len(log_tables(result, pair)) == 5
    text = steps_text(parts.steps)
    assert text.startswith("What to do next\n") and "dials.scale a.expt a.refl" in text


def test_next_steps_name_the_files_and_keep_scaled_data_from_dials_scale(correct):
    result = correct(8, "dynamical", THICK)
    verdict = correction_verdict(result)
    output = SimpleNamespace(**{**vars(OUTPUT), "merged": "b.hkl"})
    text = steps_text(next_steps(result, output, verdict))
    assert "b.hkl" in text and "HKLF 4" in text and "SHELXL" in text
    assert "dials.export scaled.expt scaled.refl format=shelx" in text
    scaled = SimpleNamespace(
        subject=SimpleNamespace(observations=SimpleNamespace(scaled=True)),
        measured=result.measured,
        estimate=result.estimate,
        warnings=(),
    )
    output = SimpleNamespace(**{**vars(OUTPUT), "merged": "b.mtz"})
    text = steps_text(next_steps(scaled, output, verdict))
    assert "Do not run dials.scale" in text and "\n      dials.scale" not in text
    assert "dials.merge a.expt a.refl" in text and "b.mtz" in text


@pytest.mark.parametrize(
    "d_min, method, told",
    [
        (0.9, "model", True),
        (1.3, "model", False),
        (0.9, "structure", False),
        (0.9, "tried", False),
    ],
)
def test_solving_is_proposed_where_it_may_work(correct, d_min, method, told):
    result = correct(8, "dynamical", THICK)
    verdict = correction_verdict(result)
    other = SimpleNamespace(
        subject=result.subject,
        measured=SimpleNamespace(d_star_sq=np.array([0.1, 1 / d_min**2])),
        estimate=replace(result.estimate, method=method),
        warnings=(f"{NOT_SOLVED}: no map does.",) if method == "tried" else (),
    )
    text = steps_text(next_steps(other, OUTPUT, verdict))
    assert ("structure=solve" in text) is told


def test_shells_without_signal_are_named(correct):
    result = correct(8, "dynamical", THICK)
    pair = compare(result)
    assert "little signal" not in " ".join(correction_sentences(result, pair))
    statistics = pair.before.statistics
    *good, last = statistics.by_shell
    noise = replace(statistics, by_shell=(*good, replace(last, cc_half=0.1)))
    noisy = replace(pair, before=replace(pair.before, statistics=noise))
    told = " ".join(correction_sentences(result, noisy))
    assert f"below 0.3 at {last.d_max:.2f}–{last.d_min:.2f} Å: there is" in told


def test_a_fall_of_cc_half_is_told(correct):
    """Overall and in shells, where the data get worse by more than a hundredth."""
    result = correct(8, "dynamical", THICK)
    pair = compare(result)
    statistics = pair.before.statistics
    first, second, *others = statistics.by_shell

    def told(overall, of_first, of_second):
        shells = (
            replace(first, cc_half=of_first),
            replace(second, cc_half=of_second),
            *others,
        )
        whole = replace(statistics.overall, cc_half=overall)
        return replace(statistics, overall=whole, by_shell=shells)

    before = replace(pair.before, statistics=told(0.932, 0.900, 0.419))
    after = replace(pair.after, statistics=told(0.885, 0.895, -0.152))
    text = " ".join(
        correction_sentences(result, replace(pair, before=before, after=after))
    )
    assert (
        "CC½ fell: overall 0.932 → 0.885, "
        f"{second.d_max:.2f}–{second.d_min:.2f} Å 0.419 → −0.152. " in text
    )
    assert "no proof in either direction" in text
    better = replace(pair, before=after, after=before)
    assert "CC½ fell" not in " ".join(correction_sentences(result, better))


@pytest.mark.parametrize(
    "rise, kind",
    [(0.05, "worse"), (-0.05, "improved"), (0.0, "no certain improvement")],
)
def test_worse_is_said_beyond_two_standard_uncertainties(correct, rise, kind):
    """The true amplitudes before, and with errors after, or the other way round."""
    result = correct(7, "dynamical", THICK, known=True)
    true = np.nan_to_num(result.truth.match.f_calc)
    rng = np.random.default_rng(0)
    rough = true * (1 + abs(rise) * rng.normal(size=len(true)))
    before, after = (true, rough) if rise > 0 else (rough, true)
    r1 = [float(np.abs(F - true).sum() / true.sum()) for F in (before, after)]
    gain, su = r1_gain(before, after, true)
    assert gain == pytest.approx(r1[0] - r1[1], abs=0.005)
    assert verdict_of(gain, su) == kind


def test_few_reflections_do_not_make_a_verdict():
    assert verdict_of(-0.005, 0.0026) == "no certain improvement"
    assert verdict_of(-0.005, 0.0024) == "worse"
    assert verdict_of(0.005, 0.0024) == "improved"


def test_what_changed_most_is_listed_first(correct):
    pair = compare(correct(8, "dynamical", THICK))
    most = pair.most_changed(5)
    change = np.abs(pair.after.F - pair.before.F)
    assert change[most].tolist() == sorted(change, reverse=True)[:5]
    rows = most_changed_table(pair, 5).rows
    assert len(rows) == 5 and len(rows[0]) == 8
    hkl = " ".join(str(i) for i in pair.miller_index[most[0]]).replace("-", "−")
    assert rows[0][0] == hkl


def test_sigma_of_amplitudes_is_that_of_cctbx():
    from cctbx import crystal, miller
    from cctbx.array_family import flex

    intensity, sigma = np.array([100.0, 4.0, 0.5, 0.0]), np.array([5.0, 3.0, 2.0, 1.0])
    symmetry = crystal.symmetry((10, 10, 10, 90, 90, 90), "P 1")
    points = miller.set(symmetry, flex.miller_index([(k, 0, 1) for k in range(4)]))
    array = miller.array(points, flex.double(intensity), flex.double(sigma))
    theirs = array.set_observation_type_xray_intensity().f_sq_as_f()
    found = amplitude_sigma(intensity, sigma)
    assert found == pytest.approx(theirs.sigmas().as_numpy_array(), rel=1e-6)
    assert np.isfinite(amplitude_sigma(np.array([-3.0]), np.array([1.0]))).all()
