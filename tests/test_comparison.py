"""The door for notebooks and xia2: experiments and tables in, results out."""

from __future__ import annotations

import logging
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from dials_spread.comparison import Comparison, Matching, compare_images
from dials_spread.pairs import summarise
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure


@pytest.fixture(scope="module")
def simulated():
    """Three crystals without multiple scattering, and a table for each."""
    rng = np.random.default_rng(5)
    experiments, table = simulate_experiments(
        random_structure(rng),
        rng,
        n_crystals=3,
        scan_width=60.0,
        noise=NoiseModel(extra_error=0.1),
    )
    return [*experiments], [table.select(table["id"] == i) for i in range(3)]


@pytest.fixture(scope="module")
def comparison(simulated) -> Comparison:
    return compare_images(*simulated, n_pairs_shown=2)


def contents(table) -> tuple:
    columns = {name: [*table[name]] for name in table.keys()}
    return columns, dict(table.experiment_identifiers())


def pairs(result: Comparison) -> dict:
    """Indices in common and R of each pair, by crystal and frame of its images."""
    images, found = result.observations.images, {}
    matches = result.matches
    for k in range(len(matches)):
        ends = (matches.image_a[k], matches.image_b[k])
        name = frozenset((int(images.crystal[i]), int(images.first[i])) for i in ends)
        found[name] = (int(matches.n_common[k]), float(result.agreement.r_factor[k]))
    return found


def test_nothing_but_results(simulated, tmp_path, monkeypatch, capfd):
    """Arguments, loggers, files and what is given stay as they are."""
    experiments, tables = simulated
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", None)
    before = [contents(table) for table in tables]
    models = [(e.identifier, e.crystal.to_dict(), e.scan) for e in experiments]
    handlers = [*logging.getLogger("dials").handlers], [*logging.getLogger().handlers]
    compare_images(experiments, tables, progress=True)
    assert [contents(table) for table in tables] == before
    assert [(e.identifier, e.crystal.to_dict(), e.scan) for e in experiments] == models
    assert handlers == (
        logging.getLogger("dials").handlers,
        logging.getLogger().handlers,
    )
    assert [*Path(".").iterdir()] == []
    assert capfd.readouterr() == ("", "")


def test_the_parts_belong_together(comparison):
    n = len(comparison.matches)
    assert n > 10
    assert all(len(column) == n for column in vars(comparison.agreement).values())
    assert comparison.shown == [0, 1]
    for number, spots in zip(comparison.shown, comparison.spots):
        assert spots.image_a == comparison.matches.image_a[number]
        assert len(spots.miller_index) == comparison.matches.n_common[number]
    assert len(comparison.scales) == 3
    r = comparison.agreement.r_factor
    assert comparison.summary["r_factor"].median == np.median(r[np.isfinite(r)])
    near = comparison.matches.beam_angle <= 2
    assert comparison.summary_same["n_background"].n_pairs == near.sum()
    again = summarise(
        comparison.observations,
        comparison.matches,
        comparison.agreement,
        near,
        np.random.default_rng(0),
    )
    one, two = (astuple(s["cc"]) for s in (again, comparison.summary_same))
    np.testing.assert_equal(one, two)  # nan where there is no interval


def test_crystals_are_matched_with_others_only_unless_wanted(simulated, comparison):
    def within(result):
        crystal = result.observations.images.crystal
        matches = result.matches
        return crystal[matches.image_a] == crystal[matches.image_b]

    assert not within(comparison).any()
    every = compare_images(*simulated, matching=Matching(exclude_same_crystal=False))
    assert within(every).any()
    alone = compare_images(*(part[:1] for part in simulated))
    assert len(alone.matches)
    assert within(alone).all()


def test_order_and_scale_of_the_crystals_do_not_matter(simulated, comparison):
    """Crystals in reverse, one of them seven times as large."""
    experiments, tables = simulated
    larger = tables[1].copy()
    for kind in ("prf", "sum"):
        value, variance = (f"intensity.{kind}.{v}" for v in ("value", "variance"))
        larger[value] *= 7.0
        larger[variance] *= 49.0
    other = compare_images(experiments[::-1], [tables[2], larger, tables[0]])
    expected = {
        frozenset((2 - crystal, frame) for crystal, frame in pair): values
        for pair, values in pairs(comparison).items()
    }
    found = pairs(other)
    assert found.keys() == expected.keys()
    for pair, (n_common, r) in expected.items():
        assert found[pair][0] == n_common
        assert found[pair][1] == pytest.approx(r, rel=1e-4, nan_ok=True)
    # Medians in ten rounds: they are not followed to the last digit.
    ratio = other.scales[::-1] / comparison.scales
    assert ratio[1] / ratio[0] == pytest.approx(7, rel=0.04)
    assert ratio[2] / ratio[0] == pytest.approx(1, rel=0.04)


def test_threads_and_seeds(simulated, comparison):
    other = compare_images(*simulated, nproc=1, seed=3)
    for name, column in vars(comparison.matches).items():
        np.testing.assert_array_equal(column, vars(other.matches)[name])


def test_the_spread_put_in_is_found(comparison):
    """Without multiple scattering all images differ by the 10 % put in, no more."""
    for name in ("excess_spread", "background_spread"):
        assert comparison.summary[name].median == pytest.approx(0.1, abs=0.04)


def test_pairs_that_are_named(simulated, comparison):
    images, matches = comparison.observations.images, comparison.matches
    last = len(matches) - 1
    a, b = matches.image_a[last], matches.image_b[last]
    ends = [(images.crystal[i], images.first[i]) for i in (b, a)]
    named = [int(n) for end in ends for n in end]
    twice = [named, named[2:] + named[:2]]
    result = compare_images(*simulated, n_pairs_shown=1, pairs_shown=twice)
    assert result.shown == [0, last]


def test_a_named_pair_in_the_middle_of_joined_frames(simulated):
    result = compare_images(*simulated, image_width=5, n_pairs_shown=0)
    images, matches = result.observations.images, result.matches
    named = []
    for i in (matches.image_a[0], matches.image_b[0]):
        assert images.last[i] - images.first[i] == 4
        named += [int(images.crystal[i]), int(images.first[i]) + 3]
    again = compare_images(
        *simulated, image_width=5, n_pairs_shown=0, pairs_shown=[named]
    )
    assert again.shown == [0]


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ([7, 1, 0, 1], "pair=7,1,0,1: crystal 7 has no reflections on frame 1"),
        ([0, 1, 1, 61], "pair=0,1,1,61: crystal 1 has no reflections on frame 61"),
        ([0, 5, 0, 6], "pair=0,5,0,6: these images are not among the best partners"),
    ],
)
def test_pairs_that_do_not_exist(simulated, pair, told):
    with pytest.raises(ValueError, match=told):
        compare_images(*simulated, pairs_shown=[pair])


def test_data_that_do_not_serve(simulated):
    experiments, tables = simulated
    with pytest.raises(ValueError, match="3 experiments and 2 reflection tables"):
        compare_images(experiments, tables[:2])
    with pytest.raises(ValueError, match="0 experiments and 0 reflection tables"):
        compare_images([], [])
    with pytest.raises(ValueError, match="Fewer than two images have 999 reflections"):
        compare_images(experiments, tables, matching=Matching(min_common=999))
    with pytest.raises(ValueError, match="intensity=scale: 3 of 3"):
        compare_images(experiments, tables, intensity="scale")


def test_images_without_a_partner_give_no_pairs_and_no_error(simulated):
    """Enough reflections on each image, but never so many in common."""
    most = int(np.sort(compare_images(*simulated).incidence.counts)[-2])
    result = compare_images(*simulated, matching=Matching(min_common=most))
    assert len(result.matches) == 0
    assert result.spots == []
    assert np.isnan(result.summary["r_factor"].median)
