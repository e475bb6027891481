"""What is drawn and said of a model that was trained on the data."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.correction.apply.error_law import Coverage
from dials_spread.correction.validate.importance import Importance
from dials_spread.correction.validate.scores import CompoundScore, Score
from dials_spread.correction.validate.validation import Validation
from dials_spread.report.ml_correct.correction_sentences import coverage_sentence
from dials_spread.report.ml_correct.plots_crystals import CrystalDots, crystals_r1_plot
from dials_spread.report.ml_correct.training_sentences import (
    training_reasons,
    verdict,
)
from dials_spread.report.ml_correct.training_tables import (
    MEANING,
    METHODS,
    SHORT,
    importance_tables,
    scores_table,
)

NAMES = [f"crystal {k}" for k in range(4)]


def score(split: str, method: str, r1: float, su: float = 0.01, n: int = 1) -> Score:
    one = CompoundScore("quartz", r1, 50, 0.3 - r1, su, 0.9, 0.1, np.nan)
    beside = (one.gain, su, 0.9, 0.1, np.nan)
    return Score(split, method, r1, 50 * n, *beside, (one,) * n)


def validation(*splits: tuple[str, float, float]) -> Validation:
    """Scores of the model by split, each with its uncertainty."""
    scores = []
    for split, r1, su in splits:
        scores += [score(split, "none", 0.3), score(split, "model", r1, su)]
        scores.append(score(split, "amplitudes", 0.28))
    folds = {split: 3 for split, _, _ in splits}
    empty = np.zeros(4, dtype=bool)
    return Validation(scores, {"crystal": "why"}, folds, np.zeros(1), None, empty, {})


def test_the_verdict_says_what_did_not_improve():
    good = validation(("reflection", 0.2, 0.01))
    assert verdict(good).startswith("IMPROVED: Reflections that the model had not seen")
    assert "CERTAIN" not in verdict(good)
    for r1, su in ((0.2, 0.06), (0.29, 0.001), (0.31, 0.001)):
        told = verdict(validation(("reflection", r1, su)))
        assert told.startswith("NO CERTAIN IMPROVEMENT of held-out reflections. "), r1
        assert told.count("\n") == 0
    both = verdict(validation(("reflection", 0.2, 0.01), ("compound", 0.3, 0.01)))
    assert both.startswith("NO CERTAIN IMPROVEMENT of held-out compounds. ")
    assert (
        "Compounds that the model had not seen (50 reflections): R1 against kinematic "
        "Fc 0.3000 before"
    ) in both
    bad = validation(("reflection", 0.3, 0.01), ("compound", 0.3, 0.01))
    assert "of held-out reflections and of held-out compounds" in verdict(bad)
    # The split by crystal is no headline, however well it looks.
    flattered = validation(("crystal", 0.0777, 0.001), ("reflection", 0.3, 0.01))
    assert "0.0777" not in verdict(flattered)
    assert any("split by crystal flatters" in t for t in training_reasons(flattered))
    assert not any("split by crystal" in t for t in training_reasons(good))


def test_all_splits_stand_side_by_side_even_those_not_run():
    table = scores_table(validation(("reflection", 0.2, 0.01)))
    assert table.header[1::2] == ["by crystal", "by reflection", "by compound"]
    model = table.rows[[*METHODS].index("model")]
    assert model[1:] == ["not run", "", "0.2000", "0.1000 ± 0.0100", "not run", ""]


@pytest.mark.parametrize("part, told", [(0.3, "small"), (0.68, None), (0.95, "large")])
def test_error_bars_of_another_size_are_named(part, told):
    text = coverage_sentence(Coverage(100, part, 0.99, 0.4), "Some")
    assert (f"too {told}" in text) if told else ("too " not in text)


def dots(kind: str, seen=None) -> CrystalDots:
    before = np.array([0.1, 0.2, 0.3, np.nan])
    return CrystalDots(kind, NAMES, before, 0.5 * before, seen)


def test_one_dot_for_each_crystal_and_kind():
    plot = crystals_r1_plot([dots("scaled"), dots("integrated")])
    *traces, diagonal = plot["data"]
    assert [t["name"] for t in traces] == ["scaled", "integrated"]
    for trace in traces:
        assert trace["x"] == [0.1, 0.2, 0.3] and trace["y"] == [0.05, 0.1, 0.15]
        assert trace["text"] == NAMES[:3]
    assert traces[0]["marker"]["symbol"] != traces[1]["marker"]["symbol"]
    assert diagonal["x"] == diagonal["y"]


def test_training_crystals_are_open_and_test_crystals_filled():
    seen = np.array([True, False, False, False])
    *traces, _ = crystals_r1_plot([dots("scaled", seen)])["data"]
    shape = {t["name"]: (t["text"], t["marker"]["symbol"]) for t in traces}
    assert shape == {
        "scaled, test": (NAMES[1:3], "circle"),
        "scaled, training": (NAMES[:1], "circle-open"),
    }


def test_crystals_without_any_value_draw_nothing():
    nothing = SimpleNamespace(**vars(dots("scaled")))
    nothing.before = np.full(4, np.nan)
    (diagonal,) = crystals_r1_plot([nothing])["data"]
    assert diagonal["name"] == "equal"


def test_features_are_explained():
    some = [
        Importance("all couplings", True, 0.01, 20, None, 0),
        Importance("coupling_10", False, -0.02, 20, 0.5, 7),
    ]
    groups, features, shap = importance_tables(some)
    assert groups.header == ["feature", "rise"]
    assert features.rows == [["coupling_10", "−0.0200", MEANING["coupling_10"]]]
    assert shap.rows == [["coupling_10", "0.5000", MEANING["coupling_10"]]]
    assert len(MEANING["coupling_10"]) > 10
    assert not any(told.startswith("the same") for told in MEANING.values())
    assert MEANING["signed_10"].startswith(MEANING["signed_3"])


def test_a_gain_below_zero_has_a_minus_sign():
    table = scores_table(validation(("reflection", 0.4, 0.01)))
    model = table.rows[[*METHODS].index("model")]
    assert model[4] == "−0.1000 ± 0.0100"
    assert set(SHORT) == set(METHODS)
