"""
What to do next, each step only where the results support it.

Functions:
    what_next: the steps, in their order
    depends_on_orientation: whether that is shown
    exclusions: images, as dials.scale leaves them out
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from dials_spread.comparison import Comparison
from dials_spread.observations import Observations
from dials_spread.report.compare_images.origins.origins_findings import helps
from dials_spread.report.compare_images.sentences import indexed_differently
from dials_spread.report.page.intervals import has_interval, share_with_interval
from dials_spread.report.page.labels import counted
from dials_spread.report.page.log_text import Step
from dials_spread.spread.noisy_spots.removal import Removal
from dials_spread.spread.size.worst_images import worst_images
from dials_spread.statistics.bootstrap import FEWEST_CRYSTALS

MOST_EXCLUDED = 10
"""Images that are named for dials.scale."""


WORTH_A_STEP = 1e-3
"""Rise of CC½ for which spots are left out."""


MOST_LEFT_OUT = 0.05
"""Part of the observations; leaving out more costs completeness and multiplicity."""


def what_next(comparison: Comparison, files: Sequence[str] = ()) -> list[Step]:
    """
    Say what to do with these data.

    Args:
        comparison: The results.
        files: Names of the input files, for command lines.

    Returns:
        One step each, in the order in which to take them; one sentence where the results
        call for nothing.
    """
    names = " ".join(map(_short, files)) or "integrated.expt integrated.refl"
    steps = _more_data(comparison) + _reindex(comparison, names)
    steps += _exclude(comparison, names) + _set_aside(comparison, names)
    corrects = depends_on_orientation(comparison)
    if comparison.observations.radiation != "electrons":
        steps += [_look_for_other_causes()] if corrects else []
        corrects = False
    if corrects:
        steps.append(_correct(comparison, names))
    if not comparison.observations.scaled:
        given = "corrected.expt corrected.refl" if corrects else names
        text = f"Scale, and compare again.{_common_to_images(comparison)}"
        steps.append(Step(text, f"dials.scale {given}"))
    if corrects:
        steps.append(
            Step(
                "In the final refinement, use dynamical theory where you can: scaling "
                "does not remove the part of the spread that depends on the orientation."
            )
        )
    nothing = (
        "Nothing in these results calls for a step before merging (dials.merge, "
        "dials.export)."
    )
    return steps or [Step(nothing)]


def _short(filename: str) -> str:
    """Name a file from here, where that is shorter, in quotes where it has spaces."""
    name = min(filename, os.path.relpath(filename), key=len)
    return f"'{name}'" if " " in name else name


def _look_for_other_causes() -> Step:
    return Step(
        "Look for absorption and overlapping spots: the disagreement depends on the "
        "orientation, which multiple scattering does not make of X-rays."
    )


def depends_on_orientation(comparison: Comparison) -> bool:
    """
    Say whether a dependence of the spread on the orientation is shown.

    Args:
        comparison: The results.

    Returns:
        Whether the 95 % interval of the share of the orientation excludes zero, or that
        of the ratio of spreads, of pairs of one orientation to all others, excludes one.
    """
    components = comparison.spread.components
    if components is not None and components.orientation.share_low > 0:
        return True
    ratio = comparison.summary_same["spread_ratio"]
    return has_interval(ratio.median, ratio.low, ratio.high) and ratio.high < 1


def _more_data(comparison: Comparison) -> list[Step]:
    """Say what lacks where there is nothing to compare, or no interval."""
    steps = []
    if not len(comparison.matches):
        least = comparison.matching.min_common
        steps.append(
            Step(
                f"Match more images: lower matching.min_common (now {least}), widen "
                "image_width, or add crystals."
            )
        )
    n = comparison.observations.n_crystals
    if n < FEWEST_CRYSTALS:
        steps.append(
            Step(
                f"Add crystals: {counted(n, 'crystal')} cannot show whether the spread "
                f"depends on the orientation; intervals take {FEWEST_CRYSTALS} or more."
            )
        )
    return steps


def _reindex(comparison: Comparison, names: str) -> list[Step]:
    cc = comparison.summary_same["cc"].median
    if not indexed_differently(comparison.observations, cc):
        return []
    text = (
        "If the crystals were indexed independently, bring them to one way of indexing."
    )
    return [Step(text, f"dials.cosym {names}")]


def _exclude(comparison: Comparison, names: str) -> list[Step]:
    """Name images for exclude_images of dials.scale."""
    size, observations = comparison.spread.size, comparison.observations
    if size is None:
        return []
    found = worst_images(observations, size)
    if not len(found.image):
        return []
    ranges = exclusions(observations, found.image[:MOST_EXCLUDED])
    text = (
        "Look at the worst images, and leave out what is spoiled, by ice for instance."
    )
    if not observations.scaled:
        text += " Some may differ by their scale alone, and are fine after scaling."
    return [Step(text, f"dials.scale {names} exclude_images={ranges}")]


def exclusions(observations: Observations, images: Sequence[int] | np.ndarray) -> str:
    """
    Write images as exclude_images of dials.scale takes them.

    Args:
        observations: With the images.
        images: Their numbers.

    Returns:
        Such as ``0:12:12,3:45:46``: crystal, first and last frame, in that order.
    """
    of = observations.images
    told = sorted(
        (int(of.crystal[i]), int(of.first[i]), int(of.last[i])) for i in images
    )
    return ",".join(f"{c}:{first}:{last}" for c, first, last in told)


def _set_aside(comparison: Comparison, names: str) -> list[Step]:
    noisy = comparison.origins.noisy_spots
    if noisy is None:
        return []
    which = [
        name
        for name, removal in (
            ("cluster", noisy.remove_cluster),
            ("cut", noisy.remove_cut),
        )
        if helps(removal) and _is_worth_it(removal)
    ]
    if not which:
        return []
    chosen = "both" if len(which) > 1 else which[0]
    text = (
        "Leave noisy spots out, which raises CC½ more than leaving out as many at random, "
        "and go on with filtered.refl."
    )
    choice = f"noisy_spots.filter={chosen} noisy_spots.leave_out=True"
    command = f"dials.compare_images {names} output.filtered=filtered.refl {choice}"
    return [Step(text, command)]


def _is_worth_it(removal: Removal) -> bool:
    rise = removal.after["cc_half"] - removal.before["cc_half"]
    few = removal.n_removed <= MOST_LEFT_OUT * max(removal.n_used, 1)
    return rise >= WORTH_A_STEP and few


def _correct(comparison: Comparison, names: str) -> Step:
    text = "Correct for multiple scattering, before scaling"
    if not comparison.observations.scaled:
        return Step(f"{text}.", f"dials.ml_correct {names}")
    return Step(
        f"{text}: give dials.ml_correct the integrated files that these were scaled from, "
        "and scale what it writes."
    )


def _common_to_images(comparison: Comparison) -> str:
    """Say how much scaling can remove, where that is shown."""
    components = comparison.spread.components
    if components is None or not components.image.share_low > 0:
        return ""
    image = components.image
    told = share_with_interval(image.share, image.share_low, image.share_high)
    return f" {told} of the variance is common to all reflections of an image."
