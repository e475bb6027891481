"""What dials.compare_images says against known truth: a fast cut of benchmarks/claims.py."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dials.array_family.flex")

from known_truth import code_sentences, columns, rules, scoring, shares  # noqa: E402
from known_truth.drawing import Truth, draw  # noqa: E402
from known_truth.noise_free import NoiseFree  # noqa: E402
from known_truth.planted import (  # noqa: E402
    Drawn,
    axes_exchanged,
    other_units,
    stills,
)
from known_truth.pools import pool_named  # noqa: E402

from dials_spread.observations import build_observations  # noqa: E402
from dials_spread.pairs.scales import (  # noqa: E402
    crystal_scales,
    left_by_median,
    left_by_scales,
)
from dials_spread.spread.size.residuals import build_residuals  # noqa: E402


def directions(*degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.column_stack([np.sin(angle), 0 * angle, np.cos(angle)])


def observations(reflection, crystal, intensity, beam, thickness) -> NoiseFree:
    return NoiseFree(
        reflection=np.array(reflection),
        crystal=np.array(crystal),
        image=np.array(crystal),
        intensity=np.array(intensity, dtype=float),
        beam=beam,
        stabilizers={},
        thickness=np.array(thickness, dtype=float),
        columns={},
    )


def test_shares_of_a_table_made_by_hand(monkeypatch):
    """γ = ½ (r_a - r_b)² of three observations at 0°, 0.05° and 40°, of mean 1."""
    monkeypatch.setattr(shares, "crystal_factors", lambda data: np.ones(3))
    found = shares.noise_free_shares(
        shares.pair_sums(
            observations(
                [0, 0, 0],
                [0, 1, 2],
                [8, 10, 12],
                directions(0, 0.08, 40),
                [100, 102, 300],
            )
        )
    )
    assert found.pairs["all"].tolist() == [1, 0, 0, 0, 0, 0, 0, 2]
    assert found.table["all"][0] == pytest.approx(0.5 * 0.2**2)
    assert found.plateau == pytest.approx(0.5 * (0.5 * 0.4**2 + 0.5 * 0.2**2))
    # The near pair is of equal thickness, so nothing of it is thickness.
    assert found.table["equal"][0] == pytest.approx(found.table["all"][0])
    assert found.zero == 0 and found.orientation == 1
    assert found.pairs["unequal"].tolist() == [0, 0, 0, 0, 0, 0, 0, 2]


def test_shares_of_fields_that_are_known():
    """Half of the variance a random function of the direction of width 3°, half a factor of
    thickness: the share is found, and where half of the rise is done."""
    rng = np.random.default_rng(3)
    n_crystals, n_unique = 60, 150
    tilt = rng.uniform(-6, 6, (n_crystals, n_unique))
    beam = directions(*tilt.ravel())
    crystal = np.repeat(np.arange(n_crystals), n_unique)
    reflection = np.tile(np.arange(n_unique), n_crystals)
    own = rng.standard_normal((n_crystals, n_unique))
    phase = rng.uniform(0, 2 * np.pi, n_unique)
    # cos(2π x / 24° + phase) of each reflection: γ = ½ (1 - cos(2π θ / 24°)), variance ½.
    wave = np.cos(2 * np.pi * tilt / 6 + phase)
    intensity = 1 + 0.1 * wave + 0.1 * own / np.sqrt(2)
    order = np.argsort(reflection, kind="stable")
    data = observations(
        reflection[order],
        crystal[order],
        intensity.ravel()[order],
        beam[order],
        np.geomspace(100, 1e9, n_crystals),
    )
    sums = shares.pair_sums(data)
    gamma, count = sums.gamma[0].sum(axis=0), sums.count[0].sum(axis=0)
    middle = sums.angle[0].sum(axis=0) / np.maximum(count, 1)
    near = (middle > 0) & (middle < 6)
    expected = 0.005 + 0.005 * (1 - np.cos(2 * np.pi * middle / 6))
    assert gamma[near] / count[near] == pytest.approx(expected[near], rel=0.1)


def test_every_sentence_has_a_row():
    """A sentence that is new in the code fails here until sentences.txt says its row."""
    missing = code_sentences.without_row(
        code_sentences.told_in(), code_sentences.rows_of_sentences()
    )
    assert missing == []
    rows = set(code_sentences.rows_of_sentences().values())
    rows |= set(code_sentences.NUMBERS.values())
    assert rows <= {*rules.RULES, *rules.NOT_JUDGED}


def test_a_new_sentence_is_seen(tmp_path):
    folder = tmp_path / "compare_images"
    folder.mkdir()
    (folder / "new.py").write_text(
        '"""Documentation of a module is no sentence for users."""\n'
        "def tell(n):\n"
        '    """Nor is that of a function, long as it may be."""\n'
        '    raise ValueError("an error is no claim about data")\n'
        '    return f"Nothing like {n} was ever "\\\n'
        '        "claimed before."\n'
    )
    told = code_sentences.told_in(tmp_path, ("compare_images",))
    assert [sentence.text for sentence in told] == [
        "Nothing like {} was ever claimed before."
    ]
    assert code_sentences.without_row(told, code_sentences.rows_of_sentences())


def said(text: str, share: float, column=None) -> rules.Said:
    truth = Truth(share, {}, np.nan, np.nan, 0.1, 0, Drawn(1, 1.0, 1.0))
    parts = {"noise": {"share": 0.1}, "orientation": {"share": 0.0}}
    document = {"components": parts, "spread": {}, "variogram": {}}
    return rules.Said(document, text, column or columns.Column(), truth)


@pytest.mark.parametrize(
    ("text", "share", "answer"),
    [
        ("The disagreement grows with the angle between the beam directions in the "
         "crystal.", 0.0, rules.WRONG),
        ("The disagreement grows with the angle between the beam directions in the "
         "crystal.", 0.5, rules.RIGHT),
        ("A dependence on the orientation is not shown.", 0.0, rules.WITHHELD),
        ("Correct for multiple scattering, before scaling.", 0.0, rules.WRONG),
        ("Try a correction for multiple scattering, before scaling.", 0.0,
         rules.WITHHELD),
    ],
)  # fmt: skip
def test_the_rule_of_orientation(text, share, answer):
    assert rules.orientation(said(text, share)) == answer


def test_contradictions_are_seen():
    shown = "so that part of the spread depends on the orientation."
    shares = "95 % (95 %: 58 to 100 %) differs even at the same orientation"
    denied = "A dependence on the orientation is not shown (p = 0.3): at most 40 %"
    for other in (shares, denied):
        assert rules.contradictions(said(f"{shown} {other}", 0.5)) == rules.WRONG
    apart = "95 % depends on the orientation or on anything else: not separable here"
    assert rules.contradictions(said(f"{shown} {apart}", 0.5)) == rules.RIGHT
    assert rules.contradictions(said("All is well.", 0.5)) == rules.RIGHT


def test_odd_intervals_are_seen():
    document = {
        "a": {"value": 2.0, "low": 1.0, "high": 1.5},
        "b": {"s": 2.0, "s_low": 2.0, "s_high": 2.0},
        "c": {"s": [1.0, 2.0], "s_low": [0.5, None], "s_high": [1.5, None]},
    }
    assert rules.odd_intervals(document) == ["a.value", "b.s"]


@pytest.fixture(scope="module")
def crystals(tmp_path_factory):
    return pool_named("small", str(tmp_path_factory.mktemp("pools")))


def test_the_truth_of_a_pool_leaves_its_crystals_as_they_are(crystals):
    """flex.reflection_table.concat of DIALS 3.12 adds the others to its first table."""
    before = [len(t) for t in crystals.tables]
    crystals.truths.clear()
    crystals.truth()
    assert [len(t) for t in crystals.tables] == before


def test_factors_of_stills_take_a_part_of_the_variance(crystals):
    """Each still has its own factor, from a dozen spots: these agree better for it."""
    tables = [copy.deepcopy(t) for t in crystals.tables]
    experiments, tables = stills(crystals.experiments, tables, None)
    observations = build_observations(experiments, tables, image_width=1)
    left = left_by_scales(observations)
    strong = observations.intensity > 3 * observations.sigma
    assert (left[~strong] == 1).all() and (left[strong] < 1).any()
    spots = np.bincount(observations.crystal[strong])[observations.crystal]
    # No factor comes from more spots than its still has strong ones.
    lost = left < 1
    assert (left[lost] <= 1 - 0.4 / spots[lost]).all()
    assert (left >= left_by_median(np.array([5, 6])).min()).all()
    residuals = build_residuals(
        observations, crystal_scales(observations), left=left_by_scales(observations)
    )
    assert residuals.left == pytest.approx(left[residuals.observation])


def test_exchanged_axes_keep_what_is_measured(crystals):
    """An exchange of axes changes names: h·(Aᵀ k) of each spot stays."""
    column = columns.Column("small", crystals=2)
    data = draw("x", column, crystals, 0)
    before = data.tables[1]["miller_index"].as_vec3_double().as_numpy_array()
    A = np.reshape(data.experiments[1].crystal.get_A(), (3, 3))
    experiments, tables = axes_exchanged(data.experiments, data.tables, None)
    after = tables[1]["miller_index"].as_vec3_double().as_numpy_array()
    changed = np.reshape(experiments[1].crystal.get_A(), (3, 3))
    assert not np.array_equal(before, after)
    assert before @ A.T == pytest.approx(after @ changed.T, abs=1e-9)


@pytest.mark.slow
def test_no_pair_is_tested_before_axes_are_right(tmp_path):
    """Other reflections would be compared: p-values would be small for that alone."""
    pool = pool_named("small, nearly tetragonal", str(tmp_path))
    given = columns.COLUMNS["axes exchanged"]
    wrong, right = (
        scoring.say(data.experiments, data.tables, {})[0]
        for column in (given, replace(given, change=None))
        for data in [draw("x", column, pool, 0)]
    )
    assert "reindexed first" in wrong["likelihood"]["reason"]
    assert set(wrong["matches"]["p_value"]) == {None}
    assert right["likelihood"]["n_tested"] > 0


@pytest.mark.slow
def test_what_is_said_of_known_data(crystals):
    """A size that is known, no orientation where there is none, and units do not matter."""
    noise = columns.TEN
    answers = []
    for seed in range(3):
        column = columns.Column("small", crystals=6, noise=noise)
        data = draw("fast", column, crystals, seed)
        found = rules.Said(
            *scoring.say(data.experiments, data.tables, {}), column, data.truth
        )
        assert rules.orientation(found) != rules.WRONG
        assert rules.contradictions(found) == rules.RIGHT
        estimate = rules.estimates(found)["s"]
        assert estimate.truth == 0.1
        answers.append(rules.size(found))
        if seed == 0:
            numbers = code_sentences.numbers_with_interval(found.document)
            without = numbers - set(code_sentences.NUMBERS)
            assert not without, "numbers without a row"
            data.tables = other_units(data.experiments, data.tables, None)[1]
            document, _ = scoring.say(data.experiments, data.tables, {})
            assert rules.differing(document, found.document) == []
    assert answers.count(rules.RIGHT) >= 2
