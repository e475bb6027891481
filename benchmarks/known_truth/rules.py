"""
The rows of the grid: what is claimed, and when that is right.

RULES gives for each row a function of what was said (Said) and of the truth that answers
RIGHT, WRONG or WITHHELD, or None where the row does not apply. A sentence is found by a
phrase of it; where sentences are reworded, PHRASES has to follow, and sentences.txt.
NOT_JUDGED are rows of sentences.txt in which a single run cannot be wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from known_truth.columns import Column
from known_truth.drawing import Truth

RIGHT, WRONG, WITHHELD = "right", "wrong", "withheld"

SMALL_SHARE, LARGE_SHARE = 0.02, 0.2
"""Of the orientation: below, there is none; from the other on it should be found."""

ALMOST_ALL = 0.9
"""A share of 0 to so much says nothing."""

POINTS = 0.10
"""By how much a share without interval may be off."""

PHRASES = {
    "orientation shown": (
        r"disagreement grows with the angle between the beam directions in the crystal",
        r"part of the spread depends on the orientation",
        r"part of the spread that depends on the orientation",
        r"(?<!Try a c)Correct for multiple scattering, before scaling",
    ),
    # That pairs alone do not show it denies nothing.
    "orientation denied": (r"dependence on the orientation is not shown",),
    "pairs agree better": (
        r"(?<!Whether )[Ii]mages of the same orientation agree better with each other",
    ),
    "normal": (r"residuals are not distinguishable from a normal distribution",),
    "not normal": (r"residuals are not normally distributed",),
    "images are worse": (r"an s above that of all data at a false discovery rate",),
    "no image is worse": (r"None of [\d,]+ images? has an s above",),
    "rest apart": (r"differs even at the same orientation",),
    "zones matter": (r"Do special orientations matter\? Residuals are larger",),
    "zones not shown": (r"Do special orientations matter\? It is not shown",),
    "noisy class": (r"form a class of noisy reflections",),
    "no noisy class": (r"there is no separate class of noisy reflections",),
    "leaving out helps": (r"Leaving [^.]*\([\d,]+ observations?\) helps",),
    "beam explains": (r"The [^.]* explains [\d.]+ %[^.]*of their variance",),
    "beam does not": (
        r"does not explain their variance",
        r"is not shown to explain their variance",
    ),
    "other axes": (r"dials\.reindex", r"can be indexed in \d+ ways"),
}
"""By what is claimed, the phrases that claim it."""

NOT_JUDGED = {
    "advice and commands": "steps without a claim about the data",
    "counts of what was read": "counted, not estimated",
    "labels, headings and how to read them": "no claim about the data",
    "words of an interval": "judged with the numbers that they stand beside",
    "explained by a simulation": "needs a simulation of the crystals as measured: "
    "tests/spread/sources",
    "correction by dials.ml_correct": "judged by benchmarks/correction_limit.py, damage.py, "
    "general_model.py and ml_correct.py",
    "simulation by dials.simulate_ed": "stated from what was put in: tests/simulation",
}
"""Rows of sentences that the grid does not judge, and why."""


class Said(NamedTuple):
    """
    What a run has said.

    Attributes:
        document: The JSON document.
        text: All sentences.
        column: The case.
        truth: What is true.
        plain: The document of the data before a change that changes nothing, or None.
    """

    document: dict
    text: str
    column: Column
    truth: Truth
    plain: dict | None = None

    def says(self, claim: str) -> bool:
        """Whether one of the phrases of a claim is there."""
        return any(re.search(p, self.text) for p in PHRASES[claim])


class Estimate(NamedTuple):
    """A number with its interval and the truth; nan where there is none."""

    value: float
    low: float
    high: float
    truth: float


def _number(value) -> float:
    return np.nan if value is None else float(value)


def orientation(said: Said) -> str | None:
    """Claims that the disagreement depends on the orientation, or not."""
    shown, there = said.says("orientation shown"), said.truth.orientation
    if not there < SMALL_SHARE and not there >= LARGE_SHARE:
        return RIGHT if shown else WITHHELD
    if shown:
        return RIGHT if there >= LARGE_SHARE else WRONG
    return WITHHELD


def pairs_agree(said: Said) -> str | None:
    """Images of one orientation agree better with each other."""
    if not said.document["agreement_same_orientation"]["r_factor"]["n_pairs"]:
        return None
    if not said.says("pairs agree better"):
        return WITHHELD
    return RIGHT if said.truth.orientation >= SMALL_SHARE else WRONG


def against_chance(said: Said) -> str | None:
    """Pairs that agree better than expected by chance."""
    q = np.array([_number(x) for x in said.document["matches"]["q_value"]])
    if not np.isfinite(q).any():
        return None
    if not (q <= 0.05).any():
        return WITHHELD
    return WRONG if _exchangeable(said) else RIGHT


def _exchangeable(said: Said) -> bool:
    """Observations of a reflection differ by chance alone."""
    return said.column.null and not said.column.noise.image_spread


def size(said: Said) -> str | None:
    """How large s is."""
    return _covers(
        estimates(said).get("s"), lambda e: abs(e.value - e.truth) < 0.15 * e.truth
    )


def shares(said: Said) -> str | None:
    """The shares of all sources."""
    found = [e for name, e in estimates(said).items() if name.startswith("share of")]
    answers = [_covers(e, lambda e: abs(e.value - e.truth) <= POINTS) for e in found]
    answers = [a for a in answers if a is not None]
    answers += _image_share(said)
    if not answers:
        return None
    if WRONG in answers:
        return WRONG
    return RIGHT if RIGHT in answers else WITHHELD


def _image_share(said: Said) -> list[str]:
    """
    Say whether the share of images is far too large with multiple scattering.

    How much of it an image has in common depends on how strong and weak reflections count,
    so the truth is known to some points only.
    """
    parts = said.document["components"]
    if not said.column.dynamical or "image" not in parts:
        return []
    left = 1 - _number(parts["noise"]["share"])
    low = _number(parts["image"]["share_low"]) / left
    return [WRONG] if low > said.truth.shares["image"] + POINTS else []


def _covers(estimate: Estimate | None, near) -> str | None:
    if estimate is None or not np.isfinite(estimate.truth):
        return None
    if np.isfinite(estimate.low) and np.isfinite(estimate.high):
        slack = 1e-9
        inside = estimate.low - slack <= estimate.truth <= estimate.high + slack
        if inside and estimate.low <= 0 and estimate.high >= ALMOST_ALL:
            return WITHHELD
        return RIGHT if inside else WRONG
    if not np.isfinite(estimate.value):
        return WITHHELD
    return RIGHT if near(estimate) else WRONG


def one_crystal(said: Said) -> str | None:
    """What is said of one crystal, whose images are turned and irradiated in turn."""
    if len({*said.document["matches"]["crystal_a"]}) > 1:
        return None
    if said.document["input"]["crystals"] > 1:
        return None
    return orientation(said)


def correlation_angle(said: Said) -> str | None:
    """Within which angle images agree."""
    found = estimates(said).get("correlation angle")
    if found is None or not np.isfinite(found.value):
        return None if said.truth.orientation < LARGE_SHARE else WITHHELD
    if said.truth.orientation < SMALL_SHARE:
        return WRONG
    ratio = found.value / found.truth
    return RIGHT if 1 / 1.5 <= ratio <= 1.5 else WRONG


def normality(said: Said) -> str | None:
    """
    Whether residuals are normal.

    With multiple scattering, outliers or errors of several sizes they are not. Without, they
    nearly are, as σ of few counts go with I, so that neither answer is wrong.
    """
    if said.column.null and said.column.known_s:
        return None
    if said.says("not normal"):
        return RIGHT
    return WRONG if said.says("normal") else WITHHELD


def worst_images(said: Said) -> str | None:
    """Images that are worse than others."""
    named = said.document["worst_images"]
    planted = said.truth.drawn.spoiled
    alike = said.column.known_s and not said.column.noise.image_spread
    if said.column.null and not planted and alike:
        return WRONG if named else RIGHT
    if not planted:
        return None
    if not named:
        return WITHHELD
    good = [(w["crystal"], w["image"]) in planted for w in named]
    return RIGHT if np.mean(good) >= 0.8 else WRONG


def special_orientations(said: Said) -> str | None:
    """Zone axes and crystal axes."""
    if not said.says("zones matter"):
        return WITHHELD if said.says("zones not shown") else None
    return WRONG if said.column.null else RIGHT


def noisy(said: Said) -> str | None:
    """A class of noisy reflections."""
    if said.column.dynamical or not (
        said.says("noisy class") or said.says("no noisy class")
    ):
        return None
    planted = bool(said.truth.drawn.noisy)
    if said.says("noisy class"):
        alike = said.column.known_s or said.truth.drawn.outliers
        return RIGHT if planted else (WRONG if alike else None)
    return WITHHELD if planted else RIGHT


def leaving_out(said: Said) -> str | None:
    """Leaving out noisy reflections or outliers helps."""
    if said.column.dynamical:
        return None
    planted = said.truth.drawn.noisy or said.truth.drawn.outliers
    if said.says("leaving out helps"):
        return RIGHT if planted else (WRONG if said.column.known_s else None)
    return WITHHELD if planted else RIGHT


def beam(said: Said) -> str | None:
    """The beam explains factors of images; the background under spots never does here."""
    if said.says("beam explains"):
        return WRONG
    return RIGHT if said.says("beam does not") else None


def axes(said: Said) -> str | None:
    """Crystals that are indexed in another way."""
    exchanged = said.column.pool == "nearly tetragonal"
    if said.says("other axes"):
        return RIGHT if exchanged else WRONG
    return WITHHELD if exchanged else None


def unchanged(said: Said) -> str | None:
    """Numbers that a change of names, order or units must not change."""
    if said.plain is None:
        return None
    return WRONG if differing(said.document, said.plain) else RIGHT


def differing(document: dict, plain: dict) -> list[str]:
    """
    Name the estimates in which two documents differ beyond rounding.

    Args:
        document, plain: The documents.
    """
    paths = ["spread.s", "spread.s_robust", "n_matches", "likelihood.correlation"]
    paths += [f"components.{s}.variance" for s in document["components"] if s != "kind"]
    paths += [f"agreement_same_orientation.{n}.median" for n in ("cc", "r_factor")]
    pairs = [(p, _at(document, p), _at(plain, p)) for p in paths]
    pairs += [
        (
            name,
            *(
                np.sort([_number(x) for x in d["matches"][name]])
                for d in (document, plain)
            ),
        )
        for name in ("r_factor", "excess_spread", "log_likelihood_ratio")
    ]
    return [
        name
        for name, a, b in pairs
        if np.shape(a) != np.shape(b)
        or not np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)
    ]


def _at(document, path: str) -> float:
    for key in path.split("."):
        if not isinstance(document, dict):
            return np.nan
        document = document.get(key)
    return _number(document) if isinstance(document, (int, float)) else np.nan


def contradictions(said: Said) -> str | None:
    """Two sentences that cannot both be true."""
    share = _at(said.document, "components.orientation.share")
    shown, denied = said.says("orientation shown"), said.says("orientation denied")
    bad = shown and (denied or (share < 0.005 and said.says("rest apart")))
    bad |= said.says("normal") and said.says("not normal")
    bad |= said.says("noisy class") and said.says("no noisy class")
    return WRONG if bad else RIGHT


def intervals(said: Said) -> str | None:
    """Intervals that contain their estimate and have a width."""
    return WRONG if odd_intervals(said.document) else RIGHT


def odd_intervals(document, path: str = "") -> list[str]:
    """
    Name the intervals that do not contain their estimate, or have no width.

    Args:
        document: Or a part of it.
        path: Of the part.
    """
    if isinstance(document, list):
        found = [odd_intervals(m, f"{path}[]") for m in document[:200]]
        return sorted({p for part in found for p in part})
    if not isinstance(document, dict):
        return []
    odd = set()
    for key, value in document.items():
        stem = re.fullmatch(r"(?:(.+)_)?low", key)
        if stem and key[: len(key) - 3] + "high" in document:
            own = stem[1] or next(
                (k for k in ("median", "value", "mean", "estimate") if k in document),
                "",
            )
            parts = (document.get(own), value, document[key[: len(key) - 3] + "high"])
            # Scaled data have the scale of 1, exactly.
            if not path.endswith(".scale") and _odd(*parts):
                odd.add(f"{path}.{own}".strip("."))
        odd |= set(odd_intervals(value, f"{path}.{key}".strip(".")))
    return sorted(odd)


def _odd(value, low, high) -> bool:
    value, low, high = (
        np.array([_number(x) for x in (v if isinstance(v, list) else [v])])
        for v in (value, low, high)
    )
    if not len(value) == len(low) == len(high):
        return False
    slack = 1e-9 * np.abs(value)
    outside = (value < low - slack) | (value > high + slack)
    return bool((outside | ((low == high) & (value != 0))).any())


def estimates(said: Said) -> dict[str, Estimate]:
    """
    Give the numbers whose truth is known.

    Args:
        said: What was said.

    Returns:
        By name. Shares are of what is not counting noise: what noise is relative to the
        rest is a matter of weights.
    """
    document, truth = said.document, said.truth
    spread = document["spread"]
    found = {}
    if "s" in spread:
        found["s"] = Estimate(
            *(_number(spread.get(k)) for k in ("s", "s_low", "s_high")), truth.s
        )
    parts = document["components"]
    if "noise" not in parts:
        return found
    left = 1 - _number(parts["noise"]["share"])
    if said.column.crystals > 1 and left > 0.005 and truth.random > 0:
        for name in ("image", "crystal", "orientation", "thickness"):
            p = parts.get(name)
            if p is None or p["share"] is None:
                continue
            ends = (_number(p[k]) / left for k in ("share", "share_low", "share_high"))
            value, low, high = ends
            found[f"share of {name}"] = Estimate(
                value,
                low,
                min(high, 1.0) if high == high else high,
                np.nan
                if name == "image" and said.column.dynamical
                else truth.shares[name],
            )
    angle = parts.get("correlation_angle")
    if angle is not None:
        ends = (_number(angle[k]) for k in ("value", "low", "high"))
        found["correlation angle"] = Estimate(*ends, truth.half_way)
    return found


RULES = {
    "size of the spread": size,
    "sources of the spread": shares,
    "dependence on the orientation": orientation,
    "sources within one crystal": one_crystal,
    "correlation angle": correlation_angle,
    "pairs of one orientation": pairs_agree,
    "pairs against chance": against_chance,
    "distribution of residuals": normality,
    "worst images": worst_images,
    "special orientations": special_orientations,
    "noisy reflections and outliers": noisy,
    "leaving them out": leaving_out,
    "beam and images": beam,
    "ways of indexing": axes,
    "nothing changes": unchanged,
    "no contradiction": contradictions,
    "intervals": intervals,
}
"""Rows, with what answers them."""
