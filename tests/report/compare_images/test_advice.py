"""Advice is given where the results support it, and only there."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from dxtbx.model import Experiment

from dials_spread.observations.exchanged_axes import Exchanged
from dials_spread.report.compare_images.advice import (
    depends_on_orientation,
    exclusions,
    what_next,
)
from dials_spread.report.compare_images.outputs import MIXED, summarise
from dials_spread.report.compare_images.sentences import describe_matches
from dials_spread.spread.chance.same_orientation import OrientationContrast


def told(comparison, files=("a.expt", "a.refl")) -> str:
    return " | ".join(" ".join(step) for step in what_next(comparison, files))


def with_orientation(comparison, low: float):
    """Another lower end of the share of the orientation, and nothing to be left out."""
    components = comparison.spread.components
    part = replace(components.orientation, share_low=low)
    spread = replace(
        comparison.spread, components=replace(components, orientation=part)
    )
    contrast = OrientationContrast(p_value=0.3, n_crystals=5)
    origins = replace(comparison.origins, noisy_spots=None)
    return replace(comparison, spread=spread, contrast=contrast, origins=origins)


def test_correction_where_a_dependence_on_the_orientation_is_shown(electrons):
    shown, not_shown = (with_orientation(electrons, low) for low in (0.1, 0.0))
    assert depends_on_orientation(shown) and not depends_on_orientation(not_shown)
    advice = told(shown)
    assert "dials.ml_correct a.expt a.refl" in advice
    assert "dials.scale corrected.expt corrected.refl" in advice
    assert "dynamical theory" in advice
    advice = told(not_shown)
    assert "ml_correct" not in advice and "dynamical" not in advice
    assert "dials.scale a.expt a.refl" in advice


def test_pairs_of_one_orientation_show_it_too(electrons):
    comparison = with_orientation(electrons, np.nan)
    for p, n, shown in ((0.005, 5, True), (0.02, 5, False), (0.001, 2, False)):
        contrast = OrientationContrast(p_value=p, n_crystals=n)
        assert depends_on_orientation(replace(comparison, contrast=contrast)) == shown


def test_of_x_rays_other_causes_are_named(electrons):
    xrays = replace(electrons.observations, radiation="X-rays")
    advice = told(replace(with_orientation(electrons, 0.1), observations=xrays))
    assert "absorption" in advice and "ml_correct" not in advice


def test_noisy_spots_where_leaving_few_out_helps(electrons):
    origins, noisy = electrons.origins, electrons.origins.noisy_spots
    found = noisy.remove_cut
    for after, removed, p, given in (
        (0.02, 0.01, 0.01, True),
        (0.0004, 0.01, 0.01, False),
        (0.02, 0.4, 0.01, False),
        (0.02, 0.01, 0.2, False),
    ):
        cc = {"cc_half": found.before["cc_half"] + after}
        removal = replace(
            found,
            reason="",
            n_removed=int(removed * found.n_used),
            after={**found.after, **cc},
            difference={**found.difference, "cc_half": after},
            p_value={**found.p_value, "cc_half": p},
        )
        changed = replace(noisy, remove_cut=removal)
        advice = told(replace(electrons, origins=replace(origins, noisy_spots=changed)))
        assert ("output.filtered=filtered.refl" in advice) == given


def test_what_is_scaled_needs_nothing_where_nothing_is_found(electrons):
    comparison = with_orientation(electrons, 0.0)
    spread = replace(comparison.spread, size=None)
    scaled = replace(comparison.observations, choice="scale")
    origins = replace(comparison.origins, noisy_spots=None)
    comparison = replace(
        comparison, spread=spread, observations=scaled, origins=origins
    )
    (step,) = what_next(comparison)
    assert step.text.startswith("Nothing in these results calls for a step")


def test_names_with_spaces_stand_in_quotes(electrons):
    advice = told(with_orientation(electrons, 0.0), ("my data/a.expt", "a.refl"))
    assert "dials.scale 'my data/a.expt' a.refl" in advice


def test_exclusions_are_what_dials_reads(electrons):
    """exclude_images of dials.scale takes the images out of the experiments named."""
    # At the top it would be the first of DIALS, and 3.30 then imports in a circle.
    from dials.util import exclude_images

    observations = electrons.observations
    chosen = [0, len(observations.images) - 1]
    text = exclusions(observations, chosen)
    experiments = electrons.experiments

    class Table:
        def experiment_identifiers(self):
            return {k: e.identifier for k, e in enumerate(experiments)}

    parsed = exclude_images._parse_exclude_images_commands(
        [[text]], experiments, [Table()]
    )
    images = observations.images
    assert parsed == [
        (
            experiments[images.crystal[i]].identifier,
            (images.first[i], images.last[i]),
        )
        for i in chosen
    ]


@pytest.mark.parametrize("n", [1, 2])
def test_few_crystals(electrons, n):
    of = electrons.observations.images
    images = replace(of, crystal=np.minimum(of.crystal, n - 1))
    few = replace(electrons.observations, images=images)
    assert "Add crystals" in told(replace(electrons, observations=few))
    assert "Add crystals" not in told(electrons)


def commands(comparison, files=("a.expt", "a.refl"), changed=()) -> list[str]:
    steps = what_next(comparison, files, changed)
    return [step.command for step in steps if step.command]


def with_worst(comparison, s: float):
    """The comparison with twelve images of this s, shown to be above that of all data."""
    size = comparison.spread.size
    by_image = size.by_image
    new, low = by_image.s.copy(), by_image.s_low.copy()
    known = np.flatnonzero(np.isfinite(new))
    new[known], low[known] = size.s, 0.9 * size.s
    new[known[:12]], low[known[:12]] = s * size.s, 0.99 * s * size.s
    size = replace(size, by_image=replace(by_image, s=new, s_low=low))
    return replace(comparison, spread=replace(comparison.spread, size=size))


def test_the_steps_are_one_chain(electrons):
    """What is left out is left out of the scaling that goes into the refinement."""
    comparison = with_worst(with_orientation(electrons, 0.1), 3.0)
    origins = replace(comparison.origins, noisy_spots=None)
    given = commands(replace(comparison, origins=origins), changed=["image_width=0.0"])
    assert given[0] == "dials.ml_correct a.expt a.refl"
    assert given[1].startswith(
        "dials.scale corrected.expt corrected.refl exclude_images="
    )
    assert given[1].count(":") == 2 * 10
    assert given[2] == "dials.compare_images scaled.expt scaled.refl image_width=0.0"
    assert len(given) == 3
    text = told(comparison)
    assert "12 of" in text and "in 12 it is at least 1.5 times" in text
    assert "only if it is spoiled" in text


def test_images_that_do_not_stand_out_are_not_named(electrons):
    assert "exclude_images" in told(with_worst(electrons, 1.6))
    assert "worst images" not in told(with_worst(electrons, 1.4))


def test_few_crystals_are_told_of_the_correction(electrons):
    of = electrons.observations.images
    few = replace(
        electrons.observations, images=replace(of, crystal=np.minimum(of.crystal, 0))
    )
    advice = told(replace(with_orientation(electrons, 0.0), observations=few))
    assert "Try a correction" in advice and "dials.ml_correct a.expt a.refl" in advice


def test_what_was_kept_goes_on(electrons):
    noisy = electrons.origins.noisy_spots
    cut = noisy.remove_cut
    removal = replace(
        cut,
        reason="",
        n_removed=29,
        n_used=10_000,
        before={**cut.before, "cc_half": 0.9},
        after={**cut.after, "cc_half": 0.95},
        difference={**cut.difference, "cc_half": 0.05},
        p_value={**cut.p_value, "cc_half": 0.01},
    )
    none = replace(noisy.remove_cluster, reason="none")
    noisy = replace(noisy, remove_cut=removal, remove_cluster=none)
    comparison = replace(
        with_orientation(electrons, 0.1),
        origins=replace(electrons.origins, noisy_spots=noisy),
    )
    assert "Leave out 29 observations that are single outliers" in told(comparison)
    given = commands(comparison)
    assert "noisy_spots.filter=cut" in given[0]
    assert given[1] == "dials.ml_correct a.expt filtered.refl"


def test_stills_have_no_image_width(electrons):
    nothing = replace(
        electrons.matches,
        **{
            f.name: getattr(electrons.matches, f.name)[:0]
            for f in fields(electrons.matches)
        },
    )
    lost = replace(electrons, matches=nothing)
    assert "widen image_width" in told(lost)
    stills = []
    for experiment in electrons.experiments:
        still = Experiment(
            beam=experiment.beam,
            detector=experiment.detector,
            crystal=experiment.crystal,
        )
        stills.append(still)
    assert "image_width" not in told(replace(lost, experiments=stills))
    (scans,) = describe_matches(lost)
    assert "Lower matching.min_common, widen image_width, or add crystals." in scans
    (of_stills,) = describe_matches(replace(lost, experiments=stills))
    assert of_stills.endswith("Lower matching.min_common, or add crystals.")


def test_with_exchanged_axes_nothing_is_claimed_of_sources_or_orientations(electrons):
    """Different reflections are compared as if they were equivalent."""
    plain = summarise(electrons)
    assert len(plain.spread) > 2 and plain.chance and plain.origins
    one = Exchanged(1, "-k,h,l", 0.0, 0.9, 100, 1e-9)
    mixed = summarise(replace(electrons, exchanged=(one,)))
    assert mixed.spread == [plain.spread[0], MIXED]
    assert mixed.chance == mixed.origins == []
    assert mixed.pairs == describe_matches(electrons)


def test_exchanged_axes_come_first(electrons):
    """dials.reindex takes whole files: a file with others, too, is taken apart before."""
    one = Exchanged(1, "-k,h,l", 0.0, 0.9, 100, 1e-9)
    comparison = replace(electrons, exchanged=(one,))
    dataset = np.zeros_like(electrons.observations.dataset)
    together = replace(electrons.observations, dataset=dataset)
    advice = told(replace(comparison, observations=together))
    assert advice.startswith("Take a.expt apart. dials.split_experiments a.expt a.refl")
    assert "dials.reindex split_1.expt split_1.refl change_of_basis_op=-k,h,l" in advice
    assert "dials.scale" not in advice and "Compare again" in advice
    dataset = np.where(np.arange(len(dataset)) == 1, 1, 0)
    apart = replace(electrons.observations, dataset=dataset, choice="scale")
    files = ("a.expt", "b.expt", "b.refl", "a.refl")
    advice = told(replace(comparison, observations=apart), files)
    assert "split" not in advice and "Scale again" in advice
    assert "dials.reindex b.expt b.refl change_of_basis_op=-k,h,l" in advice
    assert "output.reflections=reindexed_b.refl" in advice


@pytest.mark.parametrize(("most", "tries"), [(0.5, True), (0.1, False)])
def test_what_crystals_cannot_show_is_worth_a_try(electrons, most, tries):
    """Half of the variance may depend on the orientation, or little at any rate."""
    components = electrons.spread.components
    part = replace(components.orientation, share=0.0, share_low=0.0, share_high=most)
    components = replace(components, orientation=part, orientation_p_value=0.4)
    spread = replace(electrons.spread, components=components)
    contrast = replace(electrons.contrast, p_value=0.5)
    advice = told(replace(electrons, spread=spread, contrast=contrast))
    assert ("Try a correction" in advice) == tries
    assert "Correct for multiple scattering" not in advice
