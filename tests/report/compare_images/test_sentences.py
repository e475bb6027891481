"""The log says in words what the numbers are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cctbx import sgtbx, uctbx

from dials_spread.pairs import MedianOverPairs, SameOrientation
from dials_spread.report.compare_images import sentences
from dials_spread.spread.chance.same_orientation import OrientationContrast

nan = np.nan


def estimate(median, low=nan, high=nan, n_pairs=10, n_crystals=5):
    return MedianOverPairs(median, low, high, n_pairs, n_crystals)


class Columns(SimpleNamespace):
    """Results with a length of their own."""

    def __len__(self):
        return self.n


def observations(group="P212121", crystals=3, without=0, **changes):
    """Two images a crystal, and as many crystals more that have none."""
    values = {
        "n": 1234,
        "n_crystals": crystals,
        "images": Columns(n=2 * crystals, crystal=np.repeat(np.arange(crystals), 2)),
        "often_repeated": False,
        "unique_index": np.zeros((7, 3)),
        "dataset": np.zeros(crystals + without),
        "radiation": "electrons",
        "space_group": sgtbx.space_group_info(group).group(),
        "unit_cell": uctbx.unit_cell((5, 7, 11, 90, 90, 90)),
        "choice": "profile",
        "scaled": False,
        "corrections": ("lp", "qe"),
        "friedel": True,
    }
    return Columns(**{**values, **changes})


def summary(**changes):
    values = {
        "cc": estimate(0.97),
        "r_factor": estimate(0.25, 0.2, 0.3),
        "excess_spread": estimate(0.15),
        "background_spread": estimate(0.3),
        "spread_ratio": estimate(0.5, 0.4, 0.6),
        "n_background": estimate(4),
        "scale": estimate(1),
        "cc_rank": estimate(0.9),
        "chi_square": estimate(2),
    }
    return {**values, **changes}


def comparison(angles=(0.5, 1.9, 30.0, 178.5), same=None, contrast=None, **changes):
    n = len(angles)
    matches = Columns(
        n=n,
        image_a=np.zeros(n, dtype=int),
        image_b=np.arange(1, n + 1),
        n_common=np.arange(n, 0, -1) + 5,
        beam_angle=np.array(angles),
    )
    return SimpleNamespace(
        experiments=[],
        observations=observations(**changes),
        matches=matches,
        matching=SimpleNamespace(min_common=5),
        same_orientation=SameOrientation(2.0, "the default"),
        contrast=contrast or OrientationContrast(reason="none."),
        summary=summary(),
        summary_same=same or summary(n_background=estimate(4, n_pairs=2)),
    )


def test_input_in_words():
    told = " ".join(sentences.describe_input(observations()))
    assert told.startswith(
        "1,234 observations of 7 unique reflections on 6 images of 3 crystals "
        "(electrons, space group P 21 21 21). Intensity used: profile-fitted"
    )
    assert (
        "multiple scattering makes them differ in this space group (friedel=F" in told
    )
    assert "no reflection that counts" not in told
    assert "one crystal only" not in told


def test_only_corrections_that_are_there_are_told():
    def told(**changes):
        return sentences.describe_input(observations(**changes))[0]

    assert "profile-fitted intensities, with lp and qe applied, unscaled." in told()
    every = told(choice="sum", corrections=("lp", "qe", "partiality"))
    assert "summed intensities, with lp, qe and partiality applied, unscaled." in every
    without = told(corrections=("qe",))
    assert "with qe applied" in without
    assert "the Lorentz factor seems not to be applied" in without
    assert "Lorentz" not in told(corrections=(), radiation="X-rays")
    assert "applied" not in told(choice="scale", scaled=True, corrections=())


def test_friedel_mates_differ_for_electrons_without_a_centre_only():
    def told(**changes):
        return sentences.describe_input(observations(**changes))[-1]

    assert told(group="P21/c") == "Friedel mates count as symmetry equivalents."
    assert told(radiation="X-rays") == "Friedel mates count as symmetry equivalents."
    assert told(friedel=False) == "Friedel mates count as different reflections."


def test_one_crystal_and_crystals_with_nothing_are_told():
    told = sentences.describe_input(observations(crystals=1, without=2))
    assert "on 2 images of 1 crystal (" in told[0]
    assert told[1] == "2 of 3 crystals have no reflection that counts."
    assert told[2].startswith("There is one crystal only")


def test_matches_in_words():
    (told,) = sentences.describe_matches(comparison())
    assert told.startswith("4 pairs of images have at least 5 indices in common (5 im")
    assert "of 3 crystals). 2 of them have their beam" in told
    assert "within 2° of each other (the default)" in told
    assert "rests on these few pairs" in told
    assert "The best pair has 9 indices in common, at 0.500°. 1 more looks" in told
    (told,) = sentences.describe_matches(comparison(angles=[0.1]))
    assert told.startswith("1 pair of images")
    assert "opposite" not in told
    (told,) = sentences.describe_matches(comparison(angles=[]))
    assert told.startswith("No two images have 5 indices in common")


CLAIM = "Images of the same orientation agree better with each other than with other"


def contrast(**changes):
    values = {
        "s_within": 0.15,
        "s_others": 0.3,
        "ratio": 0.5,
        "ratio_low": 0.4,
        "ratio_high": 0.6,
        "p_value": 0.001,
        "pairs_needed": 12.3,
        "ratio_seen": 0.8,
        "n_pairs": 30,
        "n_spots": 1234,
        "n_crystals": 5,
    }
    return OrientationContrast(**{**values, **changes})


def test_the_verdict_follows_test_interval_and_amount_of_data():
    def told(**changes):
        both = sentences.describe_agreement(comparison(contrast=contrast(**changes)))
        assert "R 0.250 (95 %: 0.200 to 0.300)" in both[0]
        return both[1]

    text = told()
    assert text.startswith(CLAIM) and "depends on the orientation" in text
    assert "0.500 (95 %: 0.400 to 0.600) times" in text
    assert "p = 0.0010; 1,234 common spots" in text and "includes 1" not in text
    text = told(ratio_high=1.2)
    assert text.startswith(CLAIM) and "The interval over crystals includes 1" in text
    text = told(p_value=0.011, ratio=0.9, pairs_needed=62.3)
    assert CLAIM not in text and "cannot be told from these data: s within" in text
    assert (
        "a ratio of 0.80 would show; for the one found it would need about 63" in text
    )
    # What is found is less than what would show already, or that is next to nothing.
    assert "for the one found" not in told(p_value=0.011, pairs_needed=62.3)
    nothing = told(p_value=0.029, ratio=0.0, ratio_seen=0.001, pairs_needed=74)
    assert nothing.endswith("would show none but the largest difference.")
    text = told(p_value=0.6, ratio=1.1, ratio_high=1.3, pairs_needed=nan)
    assert CLAIM not in text and text.endswith("a ratio of 0.80 would show.")
    assert "of 2 crystals; it takes 3." in told(n_crystals=2)
    text = told(reason="of X.", p_value=0.3)
    assert text.endswith("cannot be told from these data: of X.")
    text = told(reason="of X.", ratio=nan, ratio_low=nan, ratio_high=nan)
    assert text.startswith(CLAIM) and text.endswith("told, because of X.")


def test_nothing_is_said_of_pairs_that_are_not_there():
    none = summary(r_factor=estimate(nan, n_pairs=0, n_crystals=0))
    assert sentences.describe_agreement(comparison(same=none)) == []


def test_too_few_crystals_are_told():
    few = summary(r_factor=estimate(0.3, n_crystals=2))
    told = sentences.describe_agreement(comparison(same=few))[-1]
    assert told == "These pairs are of 2 crystals: no interval, which takes 3 crystals."


@pytest.mark.parametrize(
    ("group", "cc", "crystals", "warned"),
    [("P3121", 0.2, 3, True), ("P3121", 0.9, 3, False), ("P3121", 0.2, 1, False)]
    + [("P6122", 0.2, 3, False), ("P3121", nan, 3, False)],
)
def test_indexing_choices_are_suspected_where_there_are_some(
    group, cc, crystals, warned
):
    """P3121 leaves two choices (l and -l), P6122 none; and CC must be low."""
    cell = uctbx.unit_cell((5, 5, 7, 90, 90, 120))
    told = sentences.describe_agreement(
        comparison(
            same=summary(cc=estimate(cc)),
            group=group,
            crystals=crystals,
            unit_cell=cell,
        )
    )
    assert any("can be indexed in 2 ways" in t for t in told) == warned


def earlier(**medians):
    same = {name: {"median": value} for name, value in medians.items()}
    return {
        "input": {"files": ["x/a.expt", "x/a.refl"], "radiation": "X-rays"},
        "agreement_same_orientation": same,
    }


def test_the_contrast_in_words():
    reference = earlier(r_factor=0.05, excess_spread=0.0, cc=0.998)
    assert sentences.describe_contrast(summary(), reference) == [
        "Against a.expt and 1 more file (X-rays), medians over pairs of the same "
        "orientation: R 0.250 here, 0.0500 there (5 ×); s 0.150 here, 0 there; "
        "CC 0.970 here, 0.998 there."
    ]


def test_a_contrast_that_cannot_be_told():
    (told,) = sentences.describe_contrast(summary(), earlier(r_factor=None))
    assert told.startswith("The result to compare with has no pairs of the same")
    none = {name: estimate(nan, n_pairs=0) for name in summary()}
    (told,) = sentences.describe_contrast(none, earlier(r_factor=0.1))
    assert told.startswith("The present result has no pairs of the same")
