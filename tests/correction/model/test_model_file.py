"""Model files: what is written is read, and what was tampered with harms nobody."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, load_file, save
from sklearn.ensemble import HistGradientBoostingRegressor

from dials_spread.correction.features.all_features import FeatureSet
from dials_spread.correction.model.card import Card, TrainingSummary
from dials_spread.correction.model.forest import Forest, check_trees, forest_of
from dials_spread.correction.model.model_file import (
    DIGEST,
    METADATA,
    Model,
    _digest,
    check_features,
    read_model,
    write_model,
)
from dials_spread.correction.model.network.predict import predict
from dials_spread.correction.model.network.shapes import Network, shapes


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 4))
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


@pytest.fixture(scope="module")
def model(X):
    names = ["coupling", "E", "rate", "ln_n"]
    y = np.nan_to_num(X[:, 0] * X[:, 1]) + np.isnan(X[:, 2])
    forests = {}
    for name, seed in (("bias", 0), ("scatter", 1)):
        fitted = HistGradientBoostingRegressor(
            max_iter=8, max_leaf_nodes=9, random_state=seed
        )
        forests[name] = forest_of(fitted.fit(X, y + seed), names)
    card = Card(
        name="test",
        description="A model of nothing; for tests only.",
        features=tuple(
            {"name": n, "unit": "1", "meaning": "it", "reason": "why"} for n in names
        ),
        training=(TrainingSummary("nothing", 2, 400, 60),),
        validation={"by crystal": {"r1": [0.2, 0.1]}, "by compound": None},
    )
    return Model(card, forests, {"bound": 1.5}, networks=(some_network(0),))


def some_network(seed: int) -> Network:
    """Of four inputs of an observation, its own amplitudes three more, and two others."""
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.uniform(0.1, 1.0, shape).astype(np.float32)
        for name, shape in shapes(7, 2, 8).items()
    }
    return Network(("a", "b", "c", "d", "e", "f", "g"), ("h", "i"), 8, arrays)


@pytest.fixture(scope="module")
def content(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "a.model"
    write_model(model, path)
    return path.read_bytes()


def taken_apart(content: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """What a file says of itself, and its tensors without the digest."""
    length = int.from_bytes(content[:8], "little")
    text = json.loads(content[8 : 8 + length])["__metadata__"][METADATA]
    tensors = load(content)
    del tensors[DIGEST]
    return json.loads(text), tensors


def put_together(header, tensors: dict[str, np.ndarray]) -> bytes:
    """A file with a proper digest; a header that is text stays as it is."""
    text = header if isinstance(header, str) else json.dumps(header, sort_keys=True)
    digest = np.frombuffer(_digest(text, tensors), np.uint8)
    return save({**tensors, DIGEST: digest}, metadata={METADATA: text})


def test_what_is_written_is_read(model, X, tmp_path):
    path = tmp_path / "a.model"
    checksum = write_model(model, path)
    found = read_model(path)
    assert found.checksum == checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.card == model.card
    assert found.settings == {"bound": 1.5}
    assert list(found.forests) == ["bias", "scatter"]
    for name, forest in model.forests.items():
        assert found.forests[name].feature_names == forest.feature_names
        for part in fields(Forest):
            own, other = (getattr(f, part.name) for f in (forest, found.forests[name]))
            np.testing.assert_array_equal(own, other)
            assert np.asarray(own).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(found.forests[name].predict(X), forest.predict(X))
    features = some_features(model.networks[0], X)
    for own, other in zip(model.networks, found.networks, strict=True):
        assert own.observation_names == other.observation_names
        assert np.array_equal(predict(own, features).E, predict(other, features).E)
    # Once more: reading and writing changes nothing.
    write_model(replace(found, checksum=""), tmp_path / "b.model")
    assert (tmp_path / "b.model").read_bytes() == path.read_bytes()


def test_no_trees_at_all(X, model, tmp_path):
    constant = HistGradientBoostingRegressor(max_iter=3).fit(X, np.full(len(X), 2.5))
    forest = forest_of(constant, ["a", "b", "c", "d"])
    write_model(replace(model, forests={"one": forest}), tmp_path / "a.model")
    found = read_model(tmp_path / "a.model").forests["one"]
    np.testing.assert_allclose(found.predict(X), 2.5)


def test_a_file_is_readable_without_this_program(content, model, tmp_path):
    (path := tmp_path / "a.model").write_bytes(content)
    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["dials_spread"])
    assert header["card"]["training"][0]["observations"] == 400
    assert header["card"]["versions"]["scikit-learn"]
    assert header["card"]["licence"] == "BSD-3-Clause"
    tensors = load_file(path)
    forest = model.forests["bias"]
    np.testing.assert_array_equal(tensors["forest.bias.threshold"], forest.threshold)
    mix = model.networks[0].arrays["mix.weight"]
    np.testing.assert_array_equal(tensors["network.0.mix.weight"], mix)


def test_other_features_are_named(model):
    names = ["coupling", "E", "rate", "ln_n"]
    check_features(model, "bias", names)
    with pytest.raises(ValueError, match="not computed here: rate; unknown to the mo"):
        check_features(model, "bias", ["coupling", "E", "speed", "ln_n"])
    with pytest.raises(ValueError, match="their order is another one"):
        check_features(model, "bias", names[::-1])
    with pytest.raises(ValueError, match="no part called other; it has: bias, scatter"):
        check_features(model, "other", names)


def outcome(content: bytes, X, path) -> str:
    """Read a file and use it: one line, or finite numbers."""
    path.write_bytes(content)
    try:
        found = read_model(path)
    except ValueError as error:
        told = str(error)
        assert "\n" not in told and told.isprintable() and len(told) < 400
        return told
    for forest in found.forests.values():
        columns = np.zeros((len(X), len(forest.feature_names)))
        columns[:, :4] = X[:, : columns.shape[1]]
        assert np.isfinite(forest.predict(columns, nproc=1)).all()
    for network in found.networks:
        predicted = predict(network, some_features(network, X))
        assert np.isfinite(predicted.E).all() and np.isfinite(predicted.error).all()
    json.dumps(found.card.as_dict(), allow_nan=False)
    return ""


def some_features(network: Network, X) -> FeatureSet:
    """As many features as a network wants, of ten reflections."""
    observation = np.resize(X, (len(X), len(network.observation_names) - 3))
    reflection = np.resize(X, (10, len(network.reflection_names)))
    unique = np.arange(len(X)) % 10
    return FeatureSet(
        observation=observation.astype(np.float32),
        reflection=reflection.astype(np.float32),
        observation_names=network.observation_names[:-3],
        reflection_names=network.reflection_names,
        unique=unique,
        crystal=unique % 3,
        E_i=np.abs(np.nan_to_num(X[:, 0])),
        E_k=np.ones(10),
        N=np.ones(10),
    )


def damaged(content: bytes, rng) -> bytes:
    """A file that was hurt on its way: bits, bytes, a part missing, doubled, or random."""
    data, kind = bytearray(content), rng.integers(5)
    place = int(rng.integers(len(data)))
    if kind == 0:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data = data[:place]
    elif kind == 2:
        data[place:place] = data[: int(rng.integers(1, 200))]
    elif kind == 3:
        stop = min(len(data), place + 50)
        data[place:stop] = rng.bytes(stop - place)
    else:
        data = bytearray(rng.bytes(place))
    return bytes(data)


def some_value(rng):
    """A value that a header may hold, or should not."""
    values = [0, 1, -1, 3, 255, 65535, 2**31, 2**64, 10**40, 1e300, -0.5, None, True]
    values += ["", "a", "\n", "\x1b[2J", "a" * 5000, [], {}, [[]], {"a": 1}, [1, 2]]
    return values[rng.integers(len(values))]


def tampered_header(header: dict, rng) -> dict:
    """Change, take away or add something anywhere in the header."""
    header = json.loads(json.dumps(header))
    place = header
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = list(keys)[rng.integers(len(keys))]
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.15:
            break
        place = inner
    choice = rng.integers(4)
    if choice == 0:
        del place[key]
    elif choice == 1 and isinstance(inner, (int, float)):
        place[key] = inner + int(rng.integers(-3, 4))
    else:
        place[key] = some_value(rng)
    return header


def tampered_tensors(tensors: dict, rng) -> dict:
    """Change some bytes of the arrays, or an array as a whole."""
    tensors = dict(tensors)
    for _ in range(int(rng.integers(1, 4))):
        name = list(tensors)[rng.integers(len(tensors))]
        array, kind = tensors[name].copy(), rng.integers(12)
        if kind == 0:
            del tensors[name]
        elif kind == 1:
            tensors[f"{name}x"] = tensors.pop(name)
        elif kind == 2:
            tensors[name] = array.astype([np.float64, np.int64, np.uint16][kind % 3])
        elif kind == 3:
            tensors[name] = np.ascontiguousarray(array[: int(rng.integers(2))])
        elif kind == 4:
            tensors[name] = array[None, None]
        elif array.size:
            data = bytearray(array.tobytes())
            place = int(rng.integers(len(data)))
            data[place] = int(rng.choice([0, 1, 2, 127, 128, 255, rng.integers(256)]))
            tensors[name] = np.frombuffer(data, array.dtype).reshape(array.shape)
    return tensors


def tampered_container(content: bytes, rng) -> bytes:
    """Change what safetensors itself reads: types, shapes and places of tensors."""
    length = int.from_bytes(content[:8], "little")
    outer = json.loads(content[8 : 8 + length])
    text = outer.pop("__metadata__")
    changed = json.dumps({"__metadata__": text, **tampered_header(outer, rng)}).encode()
    return len(changed).to_bytes(8, "little") + changed + content[8 + length :]


def sealed(content: bytes) -> bytes:
    """The content with its digest computed again, where it can still be read."""
    try:
        return put_together(*taken_apart(content))
    except (SafetensorError, ValueError, KeyError, TypeError):
        return content


def tampered(content: bytes, rng) -> bytes:
    """A file whose writer computes a proper digest for what he made of it."""
    header, tensors = taken_apart(content)
    kind = rng.integers(5)
    if kind == 0:
        return sealed(damaged(content, rng))
    if kind == 1:
        return put_together(tampered_header(header, rng), tensors)
    if kind == 2:
        return put_together(header, tampered_tensors(tensors, rng))
    if kind == 3:
        return sealed(tampered_container(content, rng))
    header = tampered_header(header, rng)
    return put_together(header, tampered_tensors(tensors, rng))


def test_a_thousand_damaged_files_are_refused(content, X, tmp_path):
    rng = np.random.default_rng(11)
    path = tmp_path / "a.model"
    for _ in range(1000):
        other = damaged(content, rng)
        assert outcome(other, X, path) or other == content


@pytest.mark.slow
def test_a_thousand_tampered_files_harm_nobody(content, X, tmp_path):
    rng = np.random.default_rng(12)
    path = tmp_path / "a.model"
    told = [outcome(tampered(content, rng), X, path) for _ in range(1000)]
    reasons = {line.partition("model file: ")[2][:25] for line in told if line}
    # Refused for many reasons; some changes, of a leaf say, make another valid model.
    assert len(reasons) > 15
    assert 20 < sum(not line for line in told) < 700


PEAK = """
import resource, sys
from dials_spread.correction.model.model_file import read_model
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        read_model(path)
    except ValueError as error:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print((peak - before) // 1024, error)
"""
"""Reads files in a process of its own; the memory that it took so far, in MB."""


def container(header: dict, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.slow
def test_a_small_file_does_not_become_large_memory(tmp_path):
    large = {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}
    empty = {"dtype": "F64", "shape": [0, 2**62], "data_offsets": [0, 0]}
    metadata = {"__metadata__": {METADATA: "{}"}}
    many = {f"t{i}": {**empty, "shape": [0]} for i in range(25_000)}
    cases = [
        (container({**metadata, "a": large}), "no safetensors file, or damaged"),
        (container({**metadata, "a": {**large, "shape": [1]}}), "or damaged"),
        (container({**metadata, "a": empty}), "a shape that no model has"),
        ((2**63).to_bytes(8, "little") + b"{}", "or incomplete"),
        ((2**63).to_bytes(8, "little") * 2**17, "or incomplete"),
        (container({**metadata, **many, "b" * 2**21: empty}), "is too long"),
        (container({**metadata, **many}), "checksum is wrong"),
        (b"", "larger than 64 MB"),
    ]
    paths = [tmp_path / f"{i}.model" for i in range(len(cases))]
    for path, (content, _) in zip(paths, cases):
        path.write_bytes(content)
    with paths[-1].open("wb") as file:
        file.truncate(2**33)  # takes no place on the disk
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PEAK, *paths]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    for line, (_, reason) in zip(lines, cases, strict=True):
        assert reason in line
    assert int(lines[-2].split()[0]) < 100  # MB
    assert int(lines[-1].split()[0]) < 300


def test_nested_and_odd_json(content, tmp_path):
    _, tensors = taken_apart(content)
    path = tmp_path / "a.model"
    for text in ("[" * 100_000, '{"card": NaN}', '"', "1" * 10_000, "{}", "[]", "null"):
        path.write_bytes(put_together(text, tensors))
        with pytest.raises(ValueError, match="no usable model file") as told:
            read_model(path)
        assert "\n" not in str(told.value)
    for outer in (b"[" * 100_000, b"{}", b'{"__metadata__":{}}', b'"\xff"', b"null"):
        path.write_bytes(len(outer).to_bytes(8, "little") + outer)
        with pytest.raises(ValueError, match="no usable model file") as told:
            read_model(path)
        assert "\n" not in str(told.value)


def test_files_of_other_programs_and_releases(content, tmp_path):
    path = tmp_path / "a.model"
    former = b"dials_spread model 1\n" + bytes(1000)
    header, tensors = taken_apart(content)
    later = put_together({**header, "format": 3}, tensors)
    other = save({"weight": np.zeros(3)}, metadata={"format": "pt"})
    for content, reason in (
        (former, r"written before dials_spread 0\.1\.0.*train the model again"),
        (later, "format 3, and this release reads 2"),
        (other, "holds no model of dials_spread"),
        (save({"weight": np.zeros(3)}), "holds no model of dials_spread"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=reason):
            read_model(path)


def trees(left, right, start):
    return check_trees(np.array(left), np.array(right), np.array(start))


def test_nodes_that_are_no_trees():
    no = -1
    assert trees([1, no, 3, no, no], [2, no, 4, no, no], [0, 5]) == 2
    assert trees([1, no, no, no], [2, no, no, no], [0, 3, 4]) == 1
    assert trees([1, no, no, 4, no, no], [2, no, no, 5, no, no], [0, 3, 6]) == 2
    with pytest.raises(ValueError, match="before its parent"):
        trees([1, no, 1, no, no], [2, no, 4, no, no], [0, 5])
    with pytest.raises(ValueError, match="before its parent"):
        trees([-2, no, no], [2, no, no], [0, 3])
    with pytest.raises(ValueError, match="outside its tree"):
        trees([1, no, no, no], [3, no, no, no], [0, 3, 4])
    with pytest.raises(ValueError, match="outside its tree"):
        trees([1, no, 2**31 - 1, no], [2, no, 3, no], [0, 4])
    with pytest.raises(ValueError, match="no parent, or more"):
        trees([1, 2, no, no], [2, 3, no, no], [0, 4])
    n = 1001
    inner = (np.arange(n) % 2 == 0) & (np.arange(n) < n - 1)
    left, right = np.where(inner, np.arange(n) + [[1], [2]], no)
    with pytest.raises(ValueError, match="levels"):
        trees(left, right, [0, n])
    assert (
        trees(
            left[-501:] - 500 * inner[-501:],
            right[-501:] - 500 * inner[-501:],
            [0, 501],
        )
        == 250
    )


def test_files_that_are_no_files(tmp_path):
    for name in ("none.model", ""):
        with pytest.raises(ValueError, match="no such file|a folder"):
            read_model(tmp_path / name)
    (tmp_path / "empty.model").write_bytes(b"")
    with pytest.raises(ValueError, match="no safetensors file"):
        read_model(tmp_path / "empty.model")


def test_a_model_that_could_not_be_read_is_not_written(model, tmp_path):
    odd = replace(model, card=replace(model.card, description="two\nlines"))
    with pytest.raises(ValueError, match="printable"):
        write_model(odd, tmp_path / "a.model")
    forest = model.forests["bias"]
    odd = replace(model, forests={"bias": replace(forest, value=forest.value * np.nan)})
    with pytest.raises(ValueError, match="value of a leaf"):
        write_model(odd, tmp_path / "a.model")
    assert not list(tmp_path.iterdir())
