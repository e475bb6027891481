"""
Beam, special orientations and noisy spots on the page and in the log.

Functions:
    origin_sections: of the page
    origin_tables: of the log
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tabulate import tabulate

from dials_spread.beam.files import NEVER_RECORDED
from dials_spread.observations import Observations
from dials_spread.report.compare_images.origins.plots_beam import LABELS, beam_plots
from dials_spread.report.compare_images.origins.plots_noisy import noisy_plots
from dials_spread.report.compare_images.origins.plots_special import special_plots
from dials_spread.report.page.intervals import interval_cell
from dials_spread.report.page.labels import counted, digits, hkl_label, zone_label
from dials_spread.report.page.sections import Section
from dials_spread.spread.beam.beam_sources import BeamSources
from dials_spread.spread.noisy_spots.noisy import NoisySpots
from dials_spread.spread.noisy_spots.removal import STATISTICS
from dials_spread.spread.orientations.association import FEWEST_CRYSTALS
from dials_spread.spread.orientations.special import Orientations
from dials_spread.spread.origins import SWITCHED_OFF, OriginAnalysis

TITLES = {
    "beam": ("Does the beam explain the differences between images?", "Beam"),
    "orientations": ("Do the extremes come from special orientations?", "Zone axes"),
    "noisy_spots": ("Are some spots noisier than others?", "Noisy spots"),
}

CEILING_LABEL = "noise ceiling"
"""The R² that perfect knowledge would reach: spread.beam.beam_shares.reliability."""

MOST_EXTREMES = 20
"""Rows of the table in the log; the JSON file has more."""


def origin_sections(
    observations: Observations, origins: OriginAnalysis
) -> list[Section]:
    """
    Lay out beam, special orientations and noisy spots.

    Args:
        observations: With the images.
        origins: The results.

    Returns:
        One section for each part that was asked for; empty ones say why.
    """
    parts: dict[str, tuple[Callable, Callable]] = {
        "beam": (_beam_notes, lambda found: beam_plots(observations, found)),
        "orientations": (
            _orientation_notes,
            lambda found: special_plots(observations, found),
        ),
        "noisy_spots": (_noisy_notes, noisy_plots),
    }
    sections = []
    for name, (notes, plots) in parts.items():
        title, short = TITLES[name]
        found, reason = getattr(origins, name), origins.reasons.get(name, "")
        if found is not None:
            sections.append(Section(name, title, short, notes(found), plots(found)))
        elif reason and reason != SWITCHED_OFF:
            note = f"Not computed: {reason}"
            sections.append(Section(name, title, short, [note], {}))
    return sections


def _beam_notes(found: BeamSources) -> list[str]:
    notes = []
    if found.beam is not None and found.beam.frames_read:
        region = found.beam.region
        unit = "pixels" if region.unit == "pixels" else "Å⁻¹"
        notes.append(
            f"{found.beam.frames_read:,} raw images were read, each once; the annulus "
            f"goes from {region.annulus[0]:g} to {region.annulus[1]:g} {unit} about the "
            "beam."
        )
        missing = sum(found.beam.frames_missing.values())
        if missing:
            notes.append(f"{missing:,} raw images could not be read.")
    reasons = {n: why for n, why in found.reasons.items() if why != NEVER_RECORDED}
    if reasons.get("annulus") and reasons.get("annulus") == reasons.get("disc"):
        notes.append(reasons.pop("annulus"))
        del reasons["disc"]
    notes += [f"{LABELS.get(n, n).capitalize()}: {why}" for n, why in reasons.items()]
    for name, share in found.explained.items():
        if share.reason:
            notes.append(f"{LABELS[name].capitalize()}: {share.reason}")
    return notes


def _orientation_notes(found: Orientations) -> list[str]:
    n, expected = found.n_beyond
    notes = [
        f"{n:,} observations are farther than three standard deviations from the mean "
        f"of the others; normal residuals would have {expected:,.0f}."
    ]
    return [*notes, found.reason] if found.reason else notes


def _noisy_notes(found: NoisySpots) -> list[str]:
    notes = [found.reason] if found.reason else []
    for name, removal in (
        ("Class of noisy reflections", found.remove_cluster),
        (f"Beyond {found.cut:g} standard deviations", found.remove_cut),
    ):
        if removal.reason and removal.reason != found.reason:
            notes.append(f"{name}: {removal.reason}")
    used = max(found.remove_cluster.n_used, found.remove_cut.n_used)
    if 0 < used < len(found.noisy_observations):
        notes.append(
            "The effect of leaving spots out was computed on a random choice of "
            f"reflections with {used:,} of {len(found.noisy_observations):,} observations."
        )
    return notes


def origin_tables(origins: OriginAnalysis) -> list[str]:
    """
    Give the results as tables for the log.

    Args:
        origins: The results.

    Returns:
        Tables, each with a line above it.
    """
    tables = []
    if origins.beam is not None and origins.beam.explained:
        tables.append(_explained_table(origins.beam))
    if origins.orientations is not None and origins.orientations.extremes:
        tables.append(_association_table(origins.orientations))
        tables.append(_extremes_table(origins.orientations))
    if origins.noisy_spots is not None:
        tables += _removal_table(origins.noisy_spots)
    return tables


def _rst(rows: list, header: list[str]) -> str:
    return tabulate(rows, header, tablefmt="rst", disable_numparse=True)


def _explained_table(found: BeamSources) -> str:
    """
    Give what explains the scale factors of images.

    R², slope and correlation are from spread.beam.beam_shares.explained_share, the noise
    ceiling from reliability there.
    """
    rows = [
        [
            LABELS[name],
            digits(e.r_squared, 2),
            interval_cell(e.r_squared, e.low, e.high, 2),
            digits(e.slope, 2),
            digits(e.with_dials_scale, 2),
            f"{e.n_images:,}",
            e.n_crystals,
        ]
        for name, e in found.explained.items()
        if np.isfinite(e.r_squared)
    ]
    if not rows:
        return (
            "Scale factors of images before scaling: there are too few images of one "
            "crystal with reflections in common to say what explains them."
        )
    header = ["explained by", "R²", "95 %", "slope", "CC with dials.scale", "images"]
    return (
        "Scale factors of images before scaling: standard deviation within crystals "
        f"{digits(found.spread_of_k, 2)},\n{CEILING_LABEL} of R² "
        f"{digits(found.ceiling, 2)}. What explains them (slope: of ln k against the "
        "logarithm of\nwhat explains it):\n\n" + _rst(rows, [*header, "crystals"])
    )


def _association_table(found: Orientations) -> str:
    """
    Give rank correlations with angles.

    From spread.orientations.association.associate.
    """
    rows = [
        [
            a.angle.replace("_", " "),
            digits(a.correlation, 2),
            digits(a.p_value, 2),
            digits(a.q_value, 2),
        ]
        for a in found.associations
    ]
    n = found.associations[0].n_crystals if found.associations else 0
    chance = (
        f"p by permuting the orientations of\n{counted(n, 'crystal')}; q is p corrected "
        "for the number of angles"
        if any(np.isfinite(a.p_value) for a in found.associations)
        else f"no p-values,\nwhich take {FEWEST_CRYSTALS} crystals"
    )
    return (
        "Spearman's correlation between the mean |z| of an image (see below) and the "
        f"angle of\nits beam to a direction in the crystal ({chance}):\n\n"
        + _rst(rows, ["angle to", "correlation", "p", "q"])
    )


def _extremes_table(found: Orientations) -> str:
    """
    Give the observations farthest from the others.

    z is from spread.orientations.special.standardised_residuals. What overlapping frames
    list several times stands in one row, and so do two observations that are each
    other's only equivalent.
    """
    seen: set[tuple] = set()
    images: dict[tuple, list[str]] = {}
    rows: dict[tuple, list] = {}
    for e in found.extremes:
        name = hkl_label(np.asarray(e["miller_index"]))
        key = (name, e["crystal"], e["intensity"], e["sigma"], e["mean_of_others"])
        size = digits(abs(e["z"]))
        if (digits(e["mean_of_others"]), digits(e["intensity"]), size) in seen:
            continue
        seen.add((digits(e["intensity"]), digits(e["mean_of_others"]), size))
        own = images.setdefault(key, [])
        if str(e["image"]) not in own:
            own.append(str(e["image"]))
        zone = f"{zone_label(e['zone'])} {digits(e['zone_angle'], 2)}°"
        numbers = (e["intensity"], e["sigma"], e["mean_of_others"], e["z"])
        rows.setdefault(key, [name, "", *map(digits, numbers), zone])
    for key, row in rows.items():
        row[1] = f"{key[1]} / {', '.join(images[key])}"
    header = ["index", "crystal / image", "I", "σ", "mean of others", "z", "zone axis"]
    return (
        "Observations farthest from the mean of their symmetry equivalents (z: "
        "difference over its standard\ndeviation, s included), with the zone axis "
        "nearest to the beam:\n\n" + _rst([*rows.values()][:MOST_EXTREMES], header)
    )


def _removal_table(found: NoisySpots) -> list[str]:
    """
    Give statistics before and after noisy spots are left out.

    R_meas, CC½ and s are from spread.noisy_spots.agreement.
    """
    names = {"s": "s", "r_meas": "R_meas", "cc_half": "CC½"}
    rows = []
    for label, removal in (
        ("noisy class", found.remove_cluster),
        (f"beyond {found.cut:g} standard deviations", found.remove_cut),
    ):
        for name in STATISTICS if not removal.reason else ():
            mean, low, high = removal.control[name]
            rows.append(
                [
                    f"{label} ({removal.n_removed:,})",
                    names[name],
                    digits(removal.before[name], 4),
                    digits(removal.after[name], 4),
                    f"{digits(mean, 4)} ({digits(low, 4)} – {digits(high, 4)})",
                    digits(removal.p_value[name], 2),
                ]
            )
    if not rows:
        return []
    header = [
        "left out (observations)",
        "",
        "before",
        "after",
        "as many at random (95 %)",
        "p",
    ]
    factors = (
        "\n(a factor of each image was taken out before)"
        if found.without_factors
        else ""
    )
    return [
        "What leaving out noisy spots does, and leaving out as many observations at "
        f"random{factors}:\n\n" + _rst(rows, header)
    ]
