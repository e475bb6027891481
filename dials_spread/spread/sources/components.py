"""
What the spread is made of: image, crystal, orientation, thickness, counting noise, rest.

The relative intensity of an observation differs from that of its reflection by

    r = image + crystal + orientation + thickness + counting noise + rest,

each with a variance, all of them apart:

- image and crystal, which multiply all reflections alike, from what different
  reflections on one image, or of one crystal, have in common (factors);
- orientation, which treats every reflection on its own, from pairs of observations of
  one reflection: what they lose in common as the beam directions part (variogram), after
  the factors of images are taken off;
- thickness: what differs between two crystals at one orientation, beyond what differs
  between two observations of one crystal at one orientation (bending and damage, too);
- rest: what differs between these, beyond counting noise (integration); where no crystal
  shows a reflection twice at one orientation, thickness is in it;
- counting noise: mean σ²/μ².

Each reflection counts with one over its variance (pair_weights), for all of them.

Only differences enter, so that the scale of all data, and a scale of each reflection, are
free. A variance that is zero comes out as often below zero as above; below, it is given
as zero, with an upper end as wide as if it had come out at zero: nothing is known to be
zero exactly.

Functions:
    variance_components: from residuals and pairs
    rest_is_apart: whether the rest is known not to hold the orientation
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from dials_spread.spread.size.residuals import Residuals
from dials_spread.spread.sources.factors import CrystalMoments, factor_variances
from dials_spread.spread.variogram.pair_inputs import pair_weights, square_levels
from dials_spread.spread.variogram.repeats import Repeats
from dials_spread.spread.variogram.variogram import Variogram
from dials_spread.stages import stage
from dials_spread.statistics.bootstrap import EMPTY, Groups, interval, variance_interval

BLOCK = 50
"""Draws at once, to bound the memory."""

LOWEST = 0.2
"""Mean of a reflection in a draw, relative to that of all, below which it is not put."""

HALF = 0.5
"""Of the variance: the interval of a share above it is that of all others, too."""

SOURCES = ("image", "crystal", "orientation", "thickness", "noise", "rest")


NO_FACTORS = {
    "image": "the images have too few reflections in common to be put on one scale.",
    "crystal": "there are too few crystals with reflections in common.",
}
"""Why the factors of images or crystals cannot be told."""

ONE_ONLY = "there is one crystal only."

NO_GROWTH = (
    "no dependence on the orientation is shown, and without multiple scattering crystals "
    "of different thickness do not differ."
)
"""Why thickness is not divided from the rest."""


@dataclass(frozen=True)
class Component:
    """
    One source of the spread.

    Attributes:
        variance: Of the relative intensity; nan where it cannot be told.
        variance_low: End of the 95 % interval over crystals; nan where there is none.
        variance_high: The other end.
        share: Of the variance of a single observation, the sum of all sources and noise.
        share_low: End of the interval.
        share_high: The other end.
        reason: Why there is no value, in one sentence, or nothing.
    """

    variance: float
    variance_low: float
    variance_high: float
    share: float
    share_low: float
    share_high: float
    reason: str = ""

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Components:
    """
    What the spread is made of.

    Attributes:
        image, crystal, orientation, thickness, noise, rest: The sources; thickness is
            unknown, and in the rest, where no crystal repeats an orientation.
        kind: "between crystals" or "within crystals": the pairs behind orientation and
            rest.
        n_observations, n_images, n_crystals: That these rest on.
        n_pairs: Pairs of observations, likewise.
        orientation_p_value: Probability that the disagreement seems to grow with the
            angle as much as it does although it does not; nan without an interval.
        correlation_angle: [°], at which half of that growth is reached, with its
            interval; nan where growth is not shown.
    """

    image: Component
    crystal: Component
    orientation: Component
    thickness: Component
    noise: Component
    rest: Component
    kind: str
    n_observations: int
    n_images: int
    n_crystals: int
    n_pairs: int
    orientation_p_value: float
    correlation_angle: tuple[float, float, float]

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        given = dict(vars(self))
        angle = dict(zip(("value", "low", "high"), self.correlation_angle))
        given["correlation_angle"] = angle
        return {**given, **{s: given[s].as_dict() for s in SOURCES}}


def rest_is_apart(components: Components) -> bool:
    """
    Say whether the rest is what differs at one orientation.

    Without pairs of the same orientation, it is all that image, crystal and counting
    noise leave.

    Args:
        components: The sources.
    """
    return bool(np.isfinite(components.orientation.variance))


def _noise(residuals: Residuals, groups: Groups, weights: np.ndarray) -> np.ndarray:
    """
    Mean σ²/μ² in each draw, with the μ of the draw, shape (draws,).

    Each reflection counts as in the variogram.
    """
    of_reflection = pair_weights(residuals)[:, None]
    start = residuals.start
    number = np.repeat(np.arange(len(start) - 1), np.diff(start))
    square_level = square_levels(residuals)
    cell = (groups.of_crystal[residuals.crystal], number)
    shape = (groups.n, len(start) - 1)
    columns = (
        np.ones(len(residuals)),
        residuals.intensity / residuals.level,
        residuals.variance / square_level[number],
    )
    count, level, noise = (sp.csr_matrix((c, cell), shape=shape).T for c in columns)
    found = np.empty(len(weights))
    for first in range(0, len(weights), BLOCK):
        block = weights[first : first + BLOCK].T
        n = count @ block
        mean = np.maximum((level @ block) / np.where(n > 0, n, 1), LOWEST)
        total = (of_reflection * (noise @ block) / mean**2).sum(axis=0)
        found[first : first + BLOCK] = total / (of_reflection * n).sum(axis=0)
    return found


@stage("Sources of the spread")
def variance_components(
    residuals: Residuals,
    groups: Groups,
    weights: np.ndarray,
    levels: np.ndarray,
    moments: CrystalMoments | None,
    variogram: Variogram,
    n_images: int,
    repeats: Repeats | None = None,
    crystals_scaled: str = "",
) -> Components:
    """
    Put the sources of the spread together.

    Args:
        residuals: Before factors are taken off.
        groups: Of crystals.
        weights: Shape (draws, groups), from groups.draws.
        levels: Shape (draws,), from mean_levels.
        moments: Of the factors of images; None where these are undetermined.
        variogram: After factors are taken off.
        n_images: That the residuals are of.
        repeats: Within crystals at one orientation, of the same residuals as the
            variogram; None where that is within crystals itself.
        crystals_scaled: Why factors of crystals are no part of the spread any more, in
            one sentence; empty where they were left in it.

    Returns:
        The components.
    """
    columns = {
        **_variances(variogram, repeats, moments, weights, levels),
        "noise": _noise(residuals, groups, weights),
    }
    reasons = dict(NO_FACTORS)
    if groups.n_crystals == 1:
        reasons["crystal"] = ONE_ONLY
    if crystals_scaled:
        columns["crystal"] = np.full(len(weights), np.nan)
        reasons["crystal"] = crystals_scaled
    reasons["orientation"] = variogram.reason
    reasons["thickness"] = _no_thickness(variogram, repeats)
    found = _all_components(columns, groups.n, reasons)
    if not variogram.reason and not variogram.grows:
        found = _without_growth(found, columns, groups.n, reasons)
    return Components(
        **_beside_noise(found),
        kind=variogram.kind,
        n_observations=len(residuals),
        n_images=n_images,
        n_crystals=groups.n_crystals,
        n_pairs=variogram.n_pairs,
        orientation_p_value=variogram.growth_p_value,
        correlation_angle=variogram.range,
    )


def _all_components(
    columns: dict[str, np.ndarray], n: int, reasons: dict[str, str]
) -> dict[str, Component]:
    """Make components of the variances in all samples."""
    shares = _shares({k: c for k, c in columns.items() if np.isfinite(c[0])}, n)
    return {
        name: _component(
            column,
            _ends(name, columns, n, 1.0),
            shares.get(name),
            reasons.get(name, ""),
        )
        for name, column in columns.items()
    }


def _without_growth(
    fitted: dict[str, Component],
    columns: dict[str, np.ndarray],
    n: int,
    reasons: dict[str, str],
) -> dict[str, Component]:
    """
    Leave all of the plateau to what is there at one orientation, as no growth is shown.

    The growth that was fitted all the same is noise or not known well; it stays within
    the intervals.
    """
    moved = {name: column.copy() for name, column in columns.items()}
    moved["rest"][0] += moved["orientation"][0]
    moved["orientation"][0] = 0.0
    found = _all_components(moved, n, reasons)
    for name in ("orientation", "rest"):
        ends = {
            end: pick(getattr(found[name], end), getattr(fitted[name], end))
            for kind in ("variance", "share")
            for end, pick in ((f"{kind}_low", np.fmin), (f"{kind}_high", np.fmax))
        }
        found[name] = replace(found[name], **ends)
    return found


def _beside_noise(found: dict[str, Component]) -> dict[str, Component]:
    """Leave no source more of the variance than what counting noise can leave."""
    left = 1 - found["noise"].share_low
    return {
        name: part
        if name == "noise" or not part.share_high > left
        else replace(part, share_high=float(max(left, part.share)))
        for name, part in found.items()
    }


def _variances(
    variogram: Variogram,
    repeats: Repeats | None,
    moments: CrystalMoments | None,
    weights: np.ndarray,
    levels: np.ndarray,
) -> dict[str, np.ndarray]:
    """All but counting noise, with their samples; nan where one cannot be told."""
    nothing = np.full(len(weights), np.nan)
    image = crystal = thickness = nothing
    if moments is not None:
        image, crystal = factor_variances(moments, weights) / levels**2
    rest = variogram.rests
    if repeats is not None and not _no_thickness(variogram, repeats):
        thickness, rest = rest - repeats.at_zero, repeats.at_zero
        # Repeats on one crystal cannot differ by more than those on two. Both move, so
        # that their sum stays what is known of it.
        beyond = min(thickness[0], 0.0)
        thickness, rest = thickness - beyond, rest + beyond
    return {
        "image": image,
        "crystal": crystal,
        "orientation": variogram.partial_sills,
        "thickness": thickness,
        "rest": rest,
    }


def _no_thickness(variogram: Variogram, repeats: Repeats | None) -> str:
    """Say why thickness is not told from the rest; empty where it is."""
    if repeats is None:
        return variogram.reason or ONE_ONLY
    if not variogram.grows:
        return NO_GROWTH
    return repeats.reason


def _component(
    variance: np.ndarray,
    ends: tuple[float, float],
    share: tuple[float, float, float] | None,
    reason: str,
) -> Component:
    """
    One source: its variance, not below zero, and its share if there is one.

    An estimate below zero has the interval of one at zero, which is not narrower.
    """
    low, high = ends
    below = min(variance[0], 0.0)
    part, part_low, part_high = share or (np.nan, *EMPTY)
    return Component(
        variance=float(np.maximum(variance[0], 0)),
        variance_low=float(np.maximum(low, 0)),
        variance_high=float(high - below),
        share=part,
        share_low=part_low,
        share_high=part_high,
        reason="" if np.isfinite(variance[0]) else reason,
    )


def _ends(
    name: str, columns: dict[str, np.ndarray], n: int, divided_by: np.ndarray | float
) -> tuple[float, float]:
    """
    Ends of the interval of a source, of its variance or of its share.

    Thickness can be all that γ at 0° may be beyond what repeats differ by: γ at 0° of few pairs
    of crystals is more often too low than too high, and its error with it.

    Factors of images and crystals come from products of different reflections, as often
    below zero as above where there are none: the logarithms of the samples of few crystals,
    which are alike by chance, would not reach zero.
    """
    values = columns[name] / divided_by
    low, high = interval(values, n)
    if name == "thickness":
        rest = columns["rest"] / divided_by
        high = np.fmax(high, interval(values + rest, n)[1] - rest[0])
    if name in ("image", "crystal"):
        low = np.fmin(low, interval(values, n, logarithms=False)[0])
    return low, high


def _shares(
    variances: dict[str, np.ndarray], n: int
) -> dict[str, tuple[float, float, float]]:
    """
    Give the share of each source, with its interval.

    Shares are of what is above zero and add up to one. The intervals are of the
    variances as they come, so that a source with nothing beside it may have all. Noise
    is known well, all else as a variance is from a few crystals: the interval of its
    share is that of the other variances over it.
    """
    positive = {name: max(v[0], 0.0) for name, v in variances.items()}
    total, signed = sum(positive.values()), sum(variances.values())
    if not total > 0:
        return {}
    signed = np.where(signed > 0, signed, np.nan)
    shares = {}
    for name, variance in variances.items():
        share = positive[name] / total
        if name == "noise" and variance[0] > 0:
            others = (signed - variance) / variance
            ends = np.array([variance_interval(others, n), interval(others, n)])
            # Below zero they are as wide as at zero, as those of other sources are.
            ends[:, 1] -= min(others[0], 0.0)
            low, high = 1 / (1 + np.maximum(ends, 0))[:, ::-1].T
            low, high = low.min(), high.max()
        else:
            low, high = _ends(name, variances, n, signed)
            if share > HALF:
                # What the others leave: their errors are relative to what they are.
                others = interval(1 - variance / signed, n)
                low, high = np.fmin(low, 1 - others[1]), np.fmax(high, 1 - others[0])
            below = min(variance[0] / signed[0], 0.0) if signed[0] > 0 else 0.0
            low, high = np.clip([low, high - below], 0, 1)
        shares[name] = (share, float(min(low, share)), float(max(high, share)))
    return shares
