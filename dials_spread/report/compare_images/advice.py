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

from dials_spread.arguments import REFLECTIONS
from dials_spread.comparison import Comparison
from dials_spread.observations import Observations
from dials_spread.prepare.suitability import reasons_against
from dials_spread.report.compare_images.origins.origins_findings import (
    helps,
    leaves_out_few,
    rises_enough,
)
from dials_spread.report.compare_images.sentences import (
    indexed_differently,
    wider_images,
)
from dials_spread.report.page.intervals import share_with_interval
from dials_spread.report.page.labels import counted, digits, image_label
from dials_spread.report.page.log_text import Step
from dials_spread.spread.noisy_spots.removal import Removal
from dials_spread.spread.size.worst_images import worst_images
from dials_spread.spread.sources.told import SHARE_TO_SEE, orientation_not_shown
from dials_spread.statistics.bootstrap import FEWEST_CRYSTALS
from dials_spread.versions import is_still

MOST_EXCLUDED = 10
"""Images that are named for dials.scale."""

STANDS_OUT = 1.5
"""Times s of all data, from which an image is named: with many observations an image is
significantly worse long before that matters."""


def what_next(
    comparison: Comparison, files: Sequence[str] = (), changed: Sequence[str] = ()
) -> list[Step]:
    """
    Say what to do with these data; each step takes what the one before it writes.

    Args:
        comparison: The results.
        files: Names of the input files, for command lines.
        changed: Parameters of this run that differ from their defaults, as name=value.

    Returns:
        One step each, in the order in which to take them; one sentence where the results
        call for nothing.
    """
    given = " ".join(map(_short, files)) or "integrated.expt integrated.refl"
    scaled = comparison.observations.scaled
    electrons = comparison.observations.radiation == "electrons"
    shown = depends_on_orientation(comparison)
    if comparison.exchanged:
        return exchange_axes(comparison, files)
    steps = _more_data(comparison) + _reindex(comparison, given)
    aside = _set_aside(comparison, given)
    if aside:
        given = _with_filtered(files)
    look, exclude = _look_at_worst(comparison)
    steps += aside + look
    if shown and not electrons:
        steps.append(_look_for_other_causes())
    corrects = electrons and (shown or _cannot_show(comparison))
    # What dials.ml_correct would refuse is not advised.
    corrects = corrects and not reasons_against(comparison.observations)
    if corrects:
        steps.append(_correct(comparison, given, shown))
        given = "corrected.expt corrected.refl"
    if not scaled or corrects or exclude:
        steps += _scale_and_compare(comparison, given, exclude, changed)
    if shown and electrons:
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


def _cannot_show(comparison: Comparison) -> bool:
    """Say whether much may depend on the orientation that these crystals cannot show."""
    if comparison.observations.n_crystals < FEWEST_CRYSTALS:
        return True
    components = comparison.spread.components
    if components is None or not orientation_not_shown(components):
        return False
    return components.orientation.share_high > SHARE_TO_SEE


def _with_filtered(files: Sequence[str]) -> str:
    """Name the experiments as given, with the reflections that were kept."""
    experiments = [f for f in files if not f.lower().endswith(REFLECTIONS)]
    names = " ".join(map(_short, experiments)) or "integrated.expt"
    return f"{names} filtered.refl"


def _scale_and_compare(
    comparison: Comparison, given: str, exclude: str, changed: Sequence[str]
) -> list[Step]:
    """Scale, without images where some are spoiled, and see what has become better."""
    text = f"Scale.{_common_to_images(comparison)}"
    command = f"dials.scale {given}"
    if exclude:
        text += (
            " Of exclude_images keep only the images that are spoiled; drop it where "
            "none is."
        )
        command += f" exclude_images={exclude}"
    same = "".join(f" {parameter}" for parameter in changed)
    again = "Compare again" + (", with the same parameters." if changed else ".")
    return [
        Step(text, command),
        Step(again, f"dials.compare_images scaled.expt scaled.refl{same}"),
    ]


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
        Whether the 95 % interval of the share of the orientation excludes zero, or pairs
        of one orientation are shown to agree better than others.
    """
    components = comparison.spread.components
    if components is not None and components.orientation.share_low > 0:
        return True
    return comparison.contrast.shown


def _more_data(comparison: Comparison) -> list[Step]:
    """Say what lacks where there is nothing to compare, or no interval."""
    steps = []
    if not len(comparison.matches):
        least = comparison.matching.min_common
        steps.append(
            Step(
                f"Match more images: lower matching.min_common (now {least}), "
                f"{wider_images(comparison)}or add crystals."
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
        "If the crystals were indexed independently, bring them to one way of indexing, "
        "and use symmetrized.expt and symmetrized.refl below in place of these files."
    )
    return [Step(text, f"dials.cosym {names}")]


def exchange_axes(comparison: Comparison, files: Sequence[str]) -> list[Step]:
    """
    Say how crystals with exchanged axes come to the axes of the others.

    Args:
        comparison: The results.
        files: Names of the input files, experiments first.

    Returns:
        A step for each file that holds such crystals, one to take them apart where it
        holds others, too, and the last: what else to do is told by the next run.
    """
    dataset = comparison.observations.dataset
    operators = {e.crystal: e.operator for e in comparison.exchanged}
    steps = []
    for k in dict.fromkeys(int(dataset[c]) for c in operators):
        own = np.flatnonzero(dataset == k)
        found = {int(n): operators.get(int(c)) for n, c in enumerate(own)}
        expt, refl = _files_of(files, k)
        same = found[0]
        if same and len(set(found.values())) == 1:
            steps.append(_reindex_file(f"all of {expt}", expt, refl, same))
            continue
        steps.append(
            Step(f"Take {expt} apart.", f"dials.split_experiments {expt} {refl}")
        )
        width = len(str(len(own) - 1))
        for n, operator in found.items():
            if operator:
                name, crystal = f"split_{n:0{width}d}", f"crystal {own[n]}"
                steps.append(
                    _reindex_file(crystal, f"{name}.expt", f"{name}.refl", operator)
                )
    text = "Compare again; what else these data call for is told then."
    if comparison.observations.scaled:
        text = (
            "Scale again from the reindexed files, as the scales were found from "
            f"reflections that are not equivalent. {text}"
        )
    return [*steps, Step(text)]


def _reindex_file(what: str, expt: str, refl: str, operator: str) -> Step:
    names = [
        os.path.basename(name.strip("'")).replace(" ", "_") for name in (expt, refl)
    ]
    return Step(
        f"Exchange the axes of {what}, and use the files written in place of {expt} and "
        f"{refl} below.",
        f"dials.reindex {expt} {refl} change_of_basis_op={operator} "
        f"output.experiments=reindexed_{names[0]} output.reflections=reindexed_{names[1]}",
    )


def _files_of(files: Sequence[str], dataset: int) -> tuple[str, str]:
    """Name the experiments of a data set, and their reflections."""
    refl = [f for f in files if f.lower().endswith(REFLECTIONS)]
    expt = [f for f in files if f not in refl]
    if not (refl and expt):
        return "integrated.expt", "integrated.refl"
    own = expt[dataset]
    beside = [f for f in refl if os.path.splitext(f)[0] == os.path.splitext(own)[0]]
    place = [refl[dataset]] if len(refl) == len(expt) else refl[:1]
    return _short(own), _short((beside or place)[0])


def _look_at_worst(comparison: Comparison) -> tuple[list[Step], str]:
    """Name the images that stand out, for the eye and for exclude_images."""
    size, observations = comparison.spread.size, comparison.observations
    if size is None:
        return [], ""
    found = worst_images(observations, size)
    out = found.image[found.s >= STANDS_OUT * size.s]
    named = out[:MOST_EXCLUDED]
    if not len(named):
        return [], ""
    labels = ", ".join(image_label(observations, int(image)) for image in named)
    worse = f"{len(found.image):,} of {counted(found.n_tested, 'image')}"
    text = (
        f"Look at the worst images (crystal / frame): {labels}. {worse} "
        f"{'has' if len(found.image) == 1 else 'have'} an s significantly above that of "
        f"all data; {_chosen(len(out), len(named))}. Leave an image out only if it is "
        "spoiled (ice, shadow, end of scan)."
    )
    if not observations.scaled:
        text += " Some may differ by their scale alone, and are fine after scaling."
    # What has no scan has no image numbers that dials.scale would know.
    stills = any(is_still(experiment) for experiment in comparison.experiments)
    return [Step(text)], "" if stills else exclusions(observations, named)


def _chosen(n: int, named: int) -> str:
    """Say by which rule images are named."""
    rule = f"at least {STANDS_OUT:g} times that of all data"
    if n > named:
        return f"in {n:,} it is {rule}, of which the {named} with the largest are named"
    return f"named {'is' if n == 1 else 'are'} the {n:,} in which it is {rule}"


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
    """Leave out what was shown to help: the one of two choices that helps more."""
    noisy = comparison.origins.noisy_spots
    if noisy is None:
        return []
    choices = (
        ("cluster", "of the class of noisy reflections", noisy.remove_cluster),
        ("cut", "that are single outliers", noisy.remove_cut),
    )
    useful = [c for c in choices if helps(c[2]) and _is_worth_it(c[2])]
    if not useful:
        return []
    name, what, removal = max(useful, key=lambda c: c[2].difference["cc_half"])
    before, after = removal.before["cc_half"], removal.after["cc_half"]
    text = (
        f"Leave out {counted(removal.n_removed, 'observation')} {what}: CC½ rises from "
        f"{digits(before, 4)} to {digits(after, 4)}, more than when as many are left out "
        "at random. Go on with filtered.refl."
    )
    choice = f"noisy_spots.filter={name} noisy_spots.leave_out=True"
    command = f"dials.compare_images {names} output.filtered=filtered.refl {choice}"
    return [Step(text, command)]


def _is_worth_it(removal: Removal) -> bool:
    return rises_enough(removal) and leaves_out_few(removal)


def _correct(comparison: Comparison, names: str, shown: bool) -> Step:
    text = "Correct for multiple scattering, before scaling"
    if not shown:
        n = counted(comparison.observations.n_crystals, "crystal")
        text = (
            f"Try a correction for multiple scattering, before scaling: {n} cannot show "
            "whether it is needed, and the report of dials.ml_correct says what it changes"
        )
    if not comparison.observations.scaled:
        return Step(f"{text}.", f"dials.ml_correct {names}")
    return Step(
        f"{text}. Give dials.ml_correct the integrated files that these were scaled from.",
        "dials.ml_correct integrated.expt integrated.refl",
    )


def _common_to_images(comparison: Comparison) -> str:
    """Say how much scaling can remove, where that is shown."""
    components = comparison.spread.components
    if components is None or not components.image.share_low > 0:
        return ""
    image = components.image
    told = share_with_interval(image.share, image.share_low, image.share_high)
    return f" {told} of the variance is common to all reflections of an image."
