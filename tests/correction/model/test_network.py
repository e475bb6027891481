"""The network: as it is written down, whatever the order; training lowers R1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.correction.features.all_features import make_features
from dials_spread.correction.model.boosting import one_openmp_thread
from dials_spread.correction.model.network import predict as predict_module
from dials_spread.correction.model.network.fit import NetworkTraining, fit_network
from dials_spread.correction.model.network.inputs import (
    LARGEST,
    OBSERVATION_INPUTS,
    REFLECTION_INPUTS,
    Squash,
    observation_rows,
)
from dials_spread.correction.model.network.predict import predict, predict_mean
from dials_spread.correction.model.network.shapes import (
    HEADS,
    Network,
    check_network,
    shapes,
)
from dials_spread.correction.model.tree_model import target_amplitudes

WIDTH = 8


@pytest.fixture(scope="module")
def features(small):
    return make_features(small)


def some_network(features, seed=0) -> Network:
    """Weights at random, of a size that keeps numbers about one."""
    rng = np.random.default_rng(seed)
    wanted = shapes(len(OBSERVATION_INPUTS), len(REFLECTION_INPUTS), WIDTH)
    arrays = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in wanted.items()
    }
    for part, rows in (
        ("observation", observation_rows(features)),
        ("reflection", features.reflection),
    ):
        squash = Squash.fitted_to(rows)
        arrays[f"{part}.centre"] = squash.centre
        arrays[f"{part}.width"] = squash.width
    return Network(OBSERVATION_INPUTS, REFLECTION_INPUTS, WIDTH, arrays)


def by_hand(network: Network, features) -> tuple[np.ndarray, np.ndarray]:
    """One observation and one reflection after the other, in double precision."""
    arrays = {k: v.astype(float) for k, v in network.arrays.items()}

    def layer(name, x):
        return arrays[f"{name}.weight"] @ x + arrays[f"{name}.bias"]

    def silu(x):
        return x / (1 + np.exp(-x))

    def squashed(rows, part):
        x = (rows - arrays[f"{part}.centre"]) / arrays[f"{part}.width"]
        return np.clip(np.nan_to_num(np.arcsinh(x)), -LARGEST, LARGEST)

    unique, crystal = features.unique, features.crystal
    known = squashed(features.reflection, "reflection")
    seen = squashed(observation_rows(features), "observation")
    r = [silu(layer("reflect.1", silu(layer("reflect.0", x)))) for x in known]
    h = [
        silu(
            layer("mix", silu(layer("observe", x) + layer("observe_reflection", r[u])))
        )
        for x, u in zip(seen, unique)
    ]
    h = np.array(h)
    whole = silu(layer("whole", h.mean(axis=0)))
    E, ln_error = [], []
    for u in range(len(known)):
        own = np.flatnonzero(unique == u)
        mean = h[own].mean(axis=0)
        weights, values, more = [], [], []
        for i in own:
            c = silu(layer("crystal", h[crystal == crystal[i]].mean(axis=0)))
            x = layer("again", h[i]) + layer("again_reflection", mean)
            x = x + layer("again_crystal", c) + layer("again_whole", whole)
            out = layer("give", silu(x))
            weights.append(np.exp(6 * np.tanh(out[:HEADS] / 6)))
            values.append(features.E_i[i] - out[HEADS : 2 * HEADS])
            more.append(out[2 * HEADS :])
        heads = np.sum(np.array(weights) * values, axis=0) / np.sum(weights, axis=0)
        z = [known[u], r[u], heads, heads - features.E_k[u], np.mean(more, axis=0)]
        z = np.concatenate([*z, mean, whole])
        for name in ("judge.0", "judge.1"):
            z = silu(layer(name, z))
        z = layer("judge.2", z)
        mix = np.exp(z[:HEADS]) / np.exp(z[:HEADS]).sum()
        E.append(max(mix @ heads + z[HEADS], 0))
        ln_error.append(z[HEADS + 1])
    return np.array(E), np.exp(np.array(ln_error))


def few(features, n=25):
    """The observations of a few reflections."""
    kept = features.unique < n
    return replace(
        features,
        observation=features.observation[kept],
        reflection=features.reflection[:n],
        unique=features.unique[kept],
        crystal=features.crystal[kept],
        E_i=features.E_i[kept],
        E_k=features.E_k[:n],
        N=features.N[:n],
    )


def test_predictions_are_as_written_down(features):
    some = few(features)
    network = some_network(some)
    found = predict(network, some)
    E, error = by_hand(network, some)
    assert np.ptp(E) > 0.1
    np.testing.assert_allclose(found.E, E, atol=2e-5)
    np.testing.assert_allclose(found.error, error, rtol=2e-4)


def test_neither_order_nor_blocks_matter(features, monkeypatch):
    network = some_network(features)
    found = predict(network, features)
    order = np.random.default_rng(1).permutation(len(features.unique))
    names = ("observation", "unique", "crystal", "E_i")
    shuffled = replace(features, **{k: getattr(features, k)[order] for k in names})
    monkeypatch.setattr(predict_module, "BLOCK", 97)
    again = predict(network, shuffled)
    np.testing.assert_allclose(again.E, found.E, atol=1e-4)
    # Nor which number a crystal has.
    renamed = replace(features, crystal=features.crystal * 7 + 3)
    np.testing.assert_allclose(predict(network, renamed).E, found.E, atol=1e-4)
    other = some_network(features, 5)
    both = predict_mean([network, other], features)
    mean = 0.5 * (found.E + predict(other, features).E)
    np.testing.assert_allclose(both.E, mean, atol=1e-4)


def test_inputs_are_squashed():
    rng = np.random.default_rng(0)
    rows = rng.normal(5.0, 3.0, (4000, 3))
    rows[:, 1] = 2.0
    rows[::7, 0] = np.nan
    rows[0, 2] = 1e30
    found = Squash.fitted_to(rows)(rows)
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert np.all(found[:, 1] == 0) and np.all(found[::7, 0] == 0)
    assert found[0, 2] == LARGEST
    # Normal deviates come out about as wide as they are.
    assert np.std(found[1:, 2]) == pytest.approx(0.8, abs=0.1)


def test_oddities_are_refused(features):
    network = some_network(features)
    check_network(network)
    for name, value in (
        ("mix.weight", np.nan),
        ("mix.weight", 1e9),
        ("reflection.width", 0.0),
    ):
        arrays = {**network.arrays, name: network.arrays[name].copy()}
        arrays[name].flat[0] = value
        with pytest.raises(ValueError, match="number in range|no width"):
            check_network(replace(network, arrays=arrays))
    with pytest.raises(ValueError, match="out of range"):
        check_network(replace(network, width=10_000))
    with pytest.raises(ValueError, match="not those of its layers"):
        check_network(replace(network, arrays={}))


def test_without_pytorch_training_says_what_to_do(features, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ValueError, match="PyTorch: pip install"):
        fit_network([features], [np.ones(len(features.E_k))])


def too_strong(features, F, rng):
    """A set whose observations are off by half of the strongest path's coupling."""
    E = target_amplitudes(features, F)[features.unique]
    off = 0.5 * np.clip(features.observation[:, 4], 0, 2)
    E_i = E + off + 0.05 * rng.standard_normal(len(E))
    n = np.bincount(features.unique)
    E_k = np.sqrt(np.maximum(np.bincount(features.unique, E_i**2) / n, 0))
    return replace(features, E_i=E_i, E_k=E_k)


def test_training_learns_and_numpy_gives_what_pytorch_gives(features, small_F):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from dials_spread.correction.model.network.fit import _example, _join
    from dials_spread.correction.model.network.module import make_module

    rng = np.random.default_rng(2)
    sets = [too_strong(features, small_F, rng) for _ in range(12)]
    amplitudes = [small_F] * len(sets)
    network = fit_network(sets, amplitudes, NetworkTraining(width=16, epochs=60))
    test = too_strong(features, small_F, rng)
    y, root_N = target_amplitudes(test, small_F), np.sqrt(test.N)
    found = predict(network, test)
    after = np.sum(root_N * np.abs(found.E - y))
    assert after < 0.6 * np.sum(root_N * np.abs(test.E_k - y))
    # The errors are learnt more slowly, from 0.2 downwards.
    assert np.mean(np.abs(found.E - y)) < np.mean(found.error) < 0.19
    module = make_module(len(OBSERVATION_INPUTS), len(REFLECTION_INPUTS), 16).eval()
    state = {
        f"layer.{name.rpartition('.')[0].replace('.', '_')}.{name.rpartition('.')[2]}": (
            torch.from_numpy(array)
        )
        for name, array in network.arrays.items()
        if not name.startswith(("observation.", "reflection."))
    }
    module.load_state_dict(state)
    squashes = network.observation_squash, network.reflection_squash
    with torch.no_grad(), one_openmp_thread():
        E, ln_error = module(_join(torch, [_example(torch, test, small_F, *squashes)]))
    np.testing.assert_allclose(np.maximum(E.numpy(), 0), found.E, atol=1e-4)
    np.testing.assert_allclose(np.exp(ln_error.numpy()), found.error, rtol=1e-3)


def test_of_a_large_set_whole_reflections_are_drawn(features, small_F, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from dials_spread.correction.model.network import fit

    squashes = fit._fit_squashes([features], np.random.default_rng(0))
    example = fit._example(torch, features, small_F, *squashes)
    example["E_k"] = torch.arange(len(small_F))  # to know them again
    n, most = len(features.unique), len(features.unique) // 3
    monkeypatch.setattr(fit, "MOST_OBSERVATIONS", most)
    rng = np.random.default_rng(1)
    seen = np.zeros(len(small_F))
    whole = np.bincount(features.unique, minlength=len(small_F))
    for _ in range(40):
        some = fit._some(torch, example, rng)
        assert 0.8 * most < len(some["E_i"]) <= most < n
        places = some["E_k"].numpy()
        count = np.bincount(some["unique"].numpy(), minlength=len(places))
        assert np.array_equal(count, whole[places])
        seen[places] += 1
    assert np.all(seen > 0)
    monkeypatch.setattr(fit, "MOST_OBSERVATIONS", n)
    assert fit._some(torch, example, rng) is example
