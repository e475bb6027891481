"""The JSON document: strict, finite, and read back only where it is sound."""

from __future__ import annotations

import json
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pandas
import pytest

from dials_spread.comparison import Matching, compare_images
from dials_spread.report.compare_images.document import (
    RESULTS,
    pair_entries,
    read_earlier,
)
from dials_spread.report.compare_images.long_tables import (
    long_tables,
    tables_as_bytes,
)
from dials_spread.report.compare_images.outputs import comparison_as_dict
from dials_spread.report.page.document import (
    WRITTEN,
    Provenance,
    finite,
    write_json,
)
from dials_spread.spread.sources.components import SOURCES

COMMAND = "dials.compare_images"


def refuse(name):
    raise AssertionError(f"{name} is no JSON")


def test_numbers_become_what_json_can_hold():
    given = {
        1: np.float32(0.5),
        "nothing": [float("nan"), np.inf, -np.inf, None],
        "kinds": (np.int64(3), np.bool_(True), False, 2),
        "array": np.array([[1.0, np.nan]]),
        "text": "µ",
    }
    assert finite(given) == {
        "1": 0.5,
        "nothing": [None, None, None, None],
        "kinds": [3, True, False, 2],
        "array": [[1.0, None]],
        "text": "µ",
    }
    types = {type(x) for x in finite(given)["kinds"]}
    assert types == {int, bool}
    assert json.loads(write_json(given), parse_constant=refuse) == finite(given)


def test_what_json_cannot_hold_is_a_mistake():
    with pytest.raises(TypeError):
        write_json({"object": object()})


@pytest.fixture(scope="module")
def document(electrons):
    provenance = Provenance(COMMAND, ["a.expt", "a.refl"], {"seed": "0"})
    return comparison_as_dict(electrons, provenance)


def test_keys_are_those_that_others_rely_on(electrons, document):
    first = ["command", "version", "dials_version", "format", "input"]
    assert [*document][:5] == first
    assert document["format"] == 2
    assert document["command"] == COMMAND
    assert document["parameters"] == {"seed": "0"}
    assert document["input"]["files"] == ["a.expt", "a.refl"]
    assert set(RESULTS) <= set(document)
    assert document["spread"]["s"] == electrons.spread.s
    shares = [document["components"][source]["share"] for source in SOURCES]
    assert sum(filter(None, shares)) == pytest.approx(1)
    assert len(document["variogram"]["gamma"]) == len(document["variogram"]["pairs"])
    assert document["normality"]["n"] == document["spread"]["n"]
    assert {"intensity", "matches", "agreement"} <= set(document)


def test_matches_are_those_of_the_results(electrons, document):
    matches, agreement = electrons.matches, electrons.agreement
    images = electrons.observations.images
    pairs = pair_entries(document["matches"])
    assert len(pairs) == document["n_matches"] == len(matches)
    assert {len(column) for column in document["matches"].values()} == {len(pairs)}
    for k in (0, len(matches) - 1):
        told = pairs[k]
        assert told["n_common"] == matches.n_common[k]
        assert told["r_factor"] == pytest.approx(agreement.r_factor[k], nan_ok=True)
        assert told["image_a"] == {
            "dataset": 0,
            "crystal": images.crystal[matches.image_a[k]],
            "image": images.first[matches.image_a[k]],
            "image_last": images.last[matches.image_a[k]],
        }
        p_value = electrons.significance.p_value[k]
        assert told["p_value"] == (p_value if np.isfinite(p_value) else None)
    assert document["agreement"]["cc"]["median"] == electrons.summary["cc"].median


def test_pairs_are_told_in_numbers_of_python(electrons, document):
    """Columns are arrays; the page and the log tell what a document that was read tells."""
    assert isinstance(document["matches"]["n_common"], np.ndarray)
    read = json.loads(write_json(document))
    told, again = (
        pair_entries(pairs, range(0, 40))
        for pairs in (document["matches"], read["matches"])
    )
    for one, other in zip(told, again):
        assert {k: type(v) for k, v in one.items()} == {
            k: type(v) for k, v in other.items()
        }
        assert one["n_common"] == other["n_common"]
        assert one["image_b"] == other["image_b"]
        assert one["p_value"] == pytest.approx(other["p_value"], rel=1e-5)


def test_a_long_column_is_written_as_a_list_is():
    """In parts, with what is not known, rounded to the same digits."""
    rng = np.random.default_rng(0)
    n = 2 * WRITTEN + 3
    x = np.exp(20 * rng.normal(size=n))
    x[rng.random(n) < 0.1] = np.nan
    columns = {
        "x": x,
        "n": rng.integers(-5, 5, n),
        "on": rng.random(n) < 0.5,
        "name": np.array(["a", 'b"c', "é"])[rng.integers(3, size=n)],
        "index": rng.integers(-5, 5, (n, 3)),
        "empty": np.full(n, np.nan),
    }
    listed = {key: finite(column) for key, column in columns.items()}
    assert write_json(columns) == write_json(listed)
    assert json.loads(write_json(columns))["n"] == columns["n"].tolist()


def test_input_is_counted(electrons, document):
    given = document["input"]
    assert given["observations"] == len(electrons.observations) == 10_960
    assert given["unique"] == 1_079
    assert given["images"] == 247
    assert given["radiation"] == "electrons"
    assert given["space_group"] == "P 21 21 21"
    assert sum(c["images"] for c in given["by_crystal"]) == 247
    scales = [c["scale"] for c in given["by_crystal"]]
    np.testing.assert_allclose(scales, electrons.scales)


def test_the_best_pairs_only(electrons):
    provenance = Provenance(COMMAND, [], {})
    few = comparison_as_dict(electrons, provenance, most=3)
    assert len(few["matches"]["cc"]) == 3
    assert few["n_matches"] == len(electrons.matches)


def test_an_experiment_without_reflections_is_listed(read_measured):
    experiments, tables = read_measured("abiraterone/integrated")
    tables[3] = tables[3].select(tables[3]["id"] < 0)
    result = compare_images(
        [*experiments], tables, matching=Matching(), image_width=0, n_pairs_shown=0
    )
    given = comparison_as_dict(result, Provenance(COMMAND, [], {}))["input"]
    assert given["crystals"] == 5
    assert [c["crystal"] for c in given["by_crystal"]] == [*range(6)]
    assert given["by_crystal"][3]["images"] == 0


def test_what_was_written_can_be_compared_with(document, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(write_json(document), encoding="utf-8")
    found = read_earlier(str(path), COMMAND)
    assert read_earlier(None, COMMAND) is None
    for name, column in found["matches"].items():
        written = np.array(document["matches"][name], dtype=float)
        np.testing.assert_allclose(np.array(column, dtype=float), written, rtol=1e-5)
    assert found["agreement"] == document["agreement"]


def test_documents_of_old_releases_are_compared_with(document, tmp_path):
    """They have one dict a pair, and no key that names the format."""
    old = {**document, "matches": pair_entries(document["matches"])}
    del old["format"]
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, content in zip(paths, (old, document)):
        path.write_text(write_json(content), encoding="utf-8")
    before, now = (read_earlier(str(path), COMMAND) for path in paths)
    for name in ("cc", "n_common", "excess_spread"):
        np.testing.assert_allclose(
            np.array(before["matches"][name], dtype=float),
            np.array(now["matches"][name], dtype=float),
            rtol=1e-5,
        )


def test_columns_are_rounded_and_single_numbers_are_not():
    third, many = 1 / 3, np.geomspace(1e-12, 1e12, 60) * np.pi
    text = write_json({"a": third, "few": [third] * 3, "column": many})
    found = json.loads(text)
    assert found["a"] == third and found["few"] == [third] * 3
    assert found["column"] == [float(f"{x:.6g}") for x in many]
    assert max(map(len, text.splitlines())) < 60 * 13


def test_tables_hold_all_pairs_and_images(electrons):
    """One line of numpy or pandas reads them; nothing in the file is code."""
    tables = np.load(
        BytesIO(tables_as_bytes(long_tables(electrons))), allow_pickle=False
    )
    pairs, images = pandas.DataFrame(tables["pairs"]), tables["images"]
    observations, matches = electrons.observations, electrons.matches
    assert len(pairs) == len(matches) and len(images) == len(observations.images)
    np.testing.assert_allclose(pairs["cc"], electrons.agreement.cc, rtol=1e-6)
    crystal = observations.images.crystal[matches.image_b]
    np.testing.assert_array_equal(pairs["crystal_b"], crystal)
    assert (
        pairs["operator"][0]
        == electrons.incidence.operators.symbols[matches.operator[0]]
    )
    assert images["observations"].sum() == len(observations.entry)
    size = electrons.spread.size.by_image
    known = np.isfinite(images["s"])
    np.testing.assert_allclose(
        images["s"][known], size.s[np.isfinite(size.s)], rtol=1e-6
    )
    beam = np.stack([images[f"beam_{a}"] for a in "xyz"], axis=1)
    np.testing.assert_allclose(beam, observations.images.beam, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"matches": None},
        {"matches": [3]},
        {"matches": [{"r_factor": "low"}]},
        {"matches": [{"cc": [1]}]},
        {"matches": {"n_common": [5, 6], "cc": [0.5]}},
        {"matches": {"n_common": [5], "cc": ["high"]}},
        {"matches": {"n_common": 5}},
        {"agreement_same_orientation": []},
        {"agreement_same_orientation": {"cc": {"median": "x"}}},
        {"agreement_same_orientation": {"cc": 3}},
        {"input": None},
        {"input": {"files": "a.expt"}},
    ],
)
def test_a_damaged_document_is_refused(document, tmp_path, change):
    path = tmp_path / "a.json"
    path.write_text(write_json({**document, **change}), encoding="utf-8")
    with pytest.raises(ValueError, match="a.json: damaged, or of another version of"):
        read_earlier(str(path), COMMAND)


def test_all_is_made_before_anything_is_written(electrons, tmp_path, monkeypatch):
    """A page that cannot be made leaves no JSON file behind."""
    import io

    from dials_spread.report.compare_images import outputs

    def fail(*args, **kwargs):
        raise ValueError("no page")

    monkeypatch.setattr(outputs, "compare_images_page", fail)
    names = {
        kind: str(tmp_path / kind)
        for kind in ("json", "html", "log", "figures", "tables")
    }
    output = SimpleNamespace(**names, figure_format="png", max_matches=5)
    with pytest.raises(ValueError, match="no page"):
        outputs.write_results(
            electrons, Provenance(COMMAND, [], {}), output, io.StringIO()
        )
    assert [*tmp_path.iterdir()] == []
