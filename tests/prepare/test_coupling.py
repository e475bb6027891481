from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import iv

from cctbx import sgtbx

from dials_spread.correction.features.all_features import neighbour_features
from dials_spread.orientation import reciprocal_basis
from dials_spread.prepare.coupling import couplings
from dials_spread.prepare.lattice import build_lattice
from dials_spread.prepare.prepared import prepare
from dials_spread.symmetry import laue_operators


@pytest.fixture(scope="module")
def prepared(small):
    return prepare(small)


def key(h):
    return tuple(int(x) for x in h)


@pytest.mark.slow
def test_lattice_points_have_the_amplitudes_of_their_equivalents(small, prepared):
    lattice = prepared.lattice
    E = dict(zip(map(key, lattice.hkl), lattice.E))
    rotations = laue_operators(small.space_group, np.eye(3), True).on_indices
    for h, expected in zip(small.unique_index[::7], prepared.E_k[::7]):
        for rotation in rotations:
            assert E[key(rotation @ h)] == expected
    measured = {key(r @ h) for h in small.unique_index for r in rotations}
    others = [h for h in E if h not in measured]
    assert others and all(E[h] == 1 for h in others)
    group = small.space_group
    assert not any(group.is_sys_absent(h) for h in E)
    assert group.is_sys_absent((0, 0, 3)) and (0, 0, 4) in E
    # The box knows absences as zero, and what was not measured as nan.
    place = lattice.places_of(np.array([[0, 0, 3], others[0]]))
    assert lattice.box_E[place[0]] == 0 and lattice.box_U[place[0]] == 0
    assert np.isnan(lattice.box_E[place[1]])
    assert lattice.box_U[lattice.origin] == 0


def brute_force(measured, prepared, i):
    """The sums of one observation, as they are written down."""
    lattice, interaction = prepared.lattice, prepared.interaction
    K = 1 / measured.wavelength
    basis = reciprocal_basis(measured.unit_cell)
    U = dict(zip(map(key, lattice.hkl), lattice.U))
    h, k = measured.miller_index[i], measured.beam[i] * K

    def potential(g):
        if key(g) in U:
            return U[key(g)]
        if measured.space_group.is_sys_absent(key(g)):
            return 0.0
        squared = float(np.sum((basis @ g) ** 2))
        return interaction.U_rms(squared, measured.space_group.epsilon(key(g)))

    rotations = laue_operators(measured.space_group, np.eye(3), True).on_indices
    E = {
        key(r @ u): min(E_k, 5.0)
        for u, E_k in zip(measured.unique_index, prepared.E_k)
        for r in rotations
    }
    E_h = np.nan_to_num(prepared.others[i], nan=1.0).clip(0, 5)
    n_atoms = measured.unit_cell.volume() / 18.0
    sums, strongest, signed = np.zeros(5), 0.0, np.zeros(3)
    for g in lattice.hkl:
        s = (K**2 - np.sum((k + basis @ g) ** 2)) / (2 * K)
        if abs(s) >= 0.015 or np.array_equal(g, h):
            continue
        q = potential(g) ** 2 * potential(h - g) ** 2
        t = (2 * K * s) ** 2
        sums[:3] += [q / (t + w**2) for w in (0.03, 0.1, 0.3)]
        excited = np.exp(-((s / 0.003) ** 2))
        sums[3:] += potential(g) ** 2 * excited, potential(h - g) ** 2 * excited
        strongest = max(strongest, q / (t + 0.01))
        kappa = 2 * E_h * E.get(key(g), 0.0) * E.get(key(h - g), 0.0) / n_atoms**0.5
        # An exact ratio of Bessel functions stands beside the approximation.
        cosine = kappa / np.hypot(2, kappa)
        assert abs(cosine - iv(1, kappa) / iv(0, kappa)) < 0.025
        x = np.sum((k + basis @ g) ** 2) - K**2
        amplitude = cosine * potential(g) * potential(h - g) * x
        signed += [amplitude / (x**2 + w**2) for w in (0.03, 0.1, 0.3)]
    squared = float(np.sum((basis @ h) ** 2))
    U_rms = interaction.U_rms(squared, measured.space_group.epsilon(key(h)))
    squared_sums = np.sqrt([*sums[:3], strongest, *sums[3:]])
    return np.concatenate([squared_sums, signed]) / U_rms


def test_couplings_are_as_written_down(small, prepared):
    for i in range(0, len(small), len(small) // 12):
        expected = brute_force(small, prepared, i)
        np.testing.assert_allclose(
            prepared.coupling[i], expected, rtol=2e-5, atol=2e-5 * expected[2]
        )


def test_couplings_do_not_depend_on_threads_order_or_equivalents(small, prepared):
    lattice, interaction = prepared.lattice, prepared.interaction
    E_h = np.nan_to_num(prepared.others, nan=1.0)
    one = couplings(small, lattice, interaction, E_h, nproc=1)
    np.testing.assert_allclose(one, prepared.coupling, rtol=1e-12)
    order = np.random.default_rng(0).permutation(len(small))
    shuffled = small.select(order)
    again = couplings(shuffled, lattice, interaction, E_h[order])
    near = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(again, prepared.coupling[order], **near)
    operators = laue_operators(
        small.space_group, reciprocal_basis(small.unit_cell), True
    )
    for rotation, turn in zip(operators.on_indices, operators.on_directions):
        turned = replace(small, miller_index=small.miller_index @ rotation.T)
        turned = turned.with_beam(small.beam @ turn.T)
        # With the inversion the beam would run backwards, and s with it.
        if np.linalg.det(turn) > 0:
            found = couplings(turned, lattice, interaction, E_h)
            np.testing.assert_allclose(found, prepared.coupling, **near)


def test_couplings_grow_with_the_interaction(small, prepared):
    # At U twice as large, (U_g U_{h-g}) / U_h doubles and U_g / U_h stays.
    double = replace(prepared.interaction, gamma=2 * prepared.interaction.gamma)
    lattice = build_lattice(small, prepared.E_k, double)
    found = couplings(small, lattice, double, np.nan_to_num(prepared.others, nan=1.0))
    factor = np.array([2, 2, 2, 2, 1, 1, 2, 2, 2])
    expected = factor * prepared.coupling
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_signed_couplings_turn_with_the_excitation_error(small, prepared):
    """Interference enhances on one side of the Ewald sphere, and takes on the other."""
    signed = prepared.coupling[:, 6:]
    assert 0.2 < np.mean(signed[:, 1] > 0) < 0.8
    # No other observation, no phase: E_h is nought.
    none = couplings(
        small, prepared.lattice, prepared.interaction, np.zeros(len(small))
    )
    assert np.all(none[:, 6:] == 0)
    np.testing.assert_array_equal(none[:, :6], prepared.coupling[:, :6])


def test_neighbours_are_as_written_down(small, prepared):
    lattice = prepared.lattice
    found = neighbour_features(lattice, small.unique_index)
    rotations = laue_operators(small.space_group, np.eye(3), True).on_indices
    known = {key(r @ h) for h in small.unique_index for r in rotations}
    points = zip(map(key, lattice.hkl), lattice.E)
    E2 = {h: min(E, 5.0) ** 2 for h, E in points if h in known}
    strongest = sorted(E2.values(), reverse=True)
    limit = strongest[1499] if len(strongest) > 1500 else 0.0
    for i in range(0, len(small.unique_index), 97):
        h = small.unique_index[i]
        pairs = [
            (E2[g], 0.0 if absent else E2[key(h - g)])
            for g in E2
            for absent in [small.space_group.is_sys_absent(key(h - g))]
            if E2[g] >= limit
            and key(h - g) != (0, 0, 0)
            # An absence is known to be one beyond the resolution, too.
            and (key(h - g) in E2 or absent)
        ]
        a, b = np.array(pairs).T
        expected = [
            np.sum((a - 1) * (b - 1)) / np.sqrt(len(a)),
            np.mean(a * b),
            np.max(a * b),
        ]
        np.testing.assert_allclose(found[i, :3], expected, rtol=1e-9)
        for column, other in ((3, 2 * h), (4, h / 2)):
            if np.array_equal(other, np.round(other)) and key(other) in E2:
                assert found[i, column] == pytest.approx(E2[key(other)])


def test_a_space_group_with_centring_has_no_absent_beams(small, prepared):
    centred = sgtbx.space_group_info("I 2 2 2").group()
    changed = replace(small, space_group=centred)
    even = np.flatnonzero(small.unique_index.sum(axis=1) % 2 == 0)
    kept = changed.select(np.isin(small.unique, even))
    lattice = build_lattice(kept, prepared.E_k[even], prepared.interaction)
    assert np.all(lattice.hkl.sum(axis=1) % 2 == 0)
