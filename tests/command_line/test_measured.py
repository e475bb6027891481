"""Whole runs on measured data: what is written hangs together and can be relied on."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dials_spread.command_line.compare_images import run
from dials_spread.report.compare_images.document import pair_entries

L_CYSTEINE = [f"l_cysteine/{k}_integrated" for k in (20, 25, 30, 35)]
SCALED = [f"l_cysteine/scaled_{k}" for k in ("20_25", "30", "35")]
INPUT = {
    "abiraterone": (["abiraterone/integrated"], ["image_width=0"]),
    "quartz": (["quartz/scaled"], []),
    "l_cysteine": (L_CYSTEINE, ["allow_pickle=True"]),
    "l_cysteine_scaled": (SCALED, ["allow_pickle=True"]),
    "cunir_stills": (["cunir_stills/integrated"], ["matching.min_common=1"]),
    "narrow_wedges": (["narrow_wedges/sweep_*"], ["allow_pickle=True"]),
    "cinchonine": (["cinchonine_images/integrated"], ["n_pairs_shown=2"]),
    "glycine": (["glycine/integrated"], ["image_width=0"]),
}
CRYSTALS = {
    "abiraterone": 6,
    "quartz": 1,
    "l_cysteine": 4,
    "l_cysteine_scaled": 4,
    "cunir_stills": 5,
    "narrow_wedges": 103,
    "cinchonine": 1,
    "glycine": 1,
}
KEYS = {
    *("command", "version", "dials_version", "input", "intensity", "parameters"),
    *("matches", "spread", "variogram", "components", "normality", "beam"),
    *("orientations", "noisy_spots"),
}
MATCH = {
    *("image_a", "image_b", "n_common", "overlap", "jaccard", "beam_angle"),
    *("operator", "cc", "r_factor", "excess_spread", "log_likelihood_ratio"),
    *("p_value", "q_value"),
}


def refuse(name: str):
    raise AssertionError(f"{name} is no JSON")


def compare(folder: Path, data: Path, names: list[str], arguments: list[str]):
    """Run the command with its outputs in a folder, and read them."""
    files = [str(f) for n in names for f in sorted(data.glob(f"{n}.expt"))]
    files += [f.replace(".expt", ".refl") for f in files]
    ways = {kind: folder / f"out.{kind}" for kind in ("log", "json", "html")}
    outputs = (f"output.{k}={f}" for k, f in ways.items())
    run([*files, *arguments, *outputs, f"output.tables={folder / 'out.npz'}"])
    texts = {kind: f.read_text(encoding="utf-8") for kind, f in ways.items()}
    document = json.loads(texts["json"], parse_constant=refuse)
    return SimpleNamespace(
        files=files,
        document=document,
        json=ways["json"],
        log=texts["log"],
        html=texts["html"],
    )


@pytest.fixture(scope="module")
def results(data_folder, tmp_path_factory):
    """A function that gives the results of one of INPUT, made once."""
    made = {}

    def result(name: str):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = compare(folder, data_folder, *INPUT[name])
        return made[name]

    return result


class Loads(HTMLParser):
    """The addresses that a page loads something from; links are not loaded."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        names = ("src", "srcset", "data", "poster", "action")
        names += ("href",) if tag in ("link", "base", "use", "image") else ()
        self.addresses += [v for k, v in attrs if k in names and v]


def numbers(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, float):
        yield value


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUT)
def test_the_document_hangs_together(results, name):
    document = results(name).document
    assert set(document) >= KEYS
    assert document["command"] == "dials.compare_images"
    assert document["input"]["files"] == results(name).files
    assert np.isfinite([*numbers(document)]).all()
    given = document["input"]
    assert len(given["by_crystal"]) == CRYSTALS[name]
    for key in ("images", "observations"):
        assert given[key] == sum(c[key] for c in given["by_crystal"])
    assert given["unique"] <= given["observations"]
    assert given["crystals"] == sum(c["images"] > 0 for c in given["by_crystal"])
    matches = pair_entries(document["matches"])
    assert len(matches) == document["n_matches"]
    check_matches(matches, document)
    check_medians(matches, document)


def check_matches(matches: list[dict], document: dict) -> None:
    """Pairs are complete, sorted, of two images that exist, and each is there once."""
    least = int(document["parameters"]["matching.min_common"])
    common = [m["n_common"] for m in matches]
    assert common == sorted(common, reverse=True)
    crystals = document["input"]["by_crystal"]
    named = set()
    for match in matches:
        assert set(match) >= MATCH
        assert match["n_common"] >= least
        assert 0 < match["jaccard"] <= match["overlap"] <= 1
        assert 0 <= match["beam_angle"] <= 180
        assert match["cc"] is None or -1 <= match["cc"] <= 1
        ends = [match[side] for side in ("image_a", "image_b")]
        for image in ends:
            crystal = crystals[image["crystal"]]
            assert crystal["crystal"] == image["crystal"]
            assert crystal["dataset"] == image["dataset"]
            assert crystal["images"] > 0
            assert image["image"] <= image["image_last"]
        if document["input"]["crystals"] > 1:
            assert ends[0]["crystal"] != ends[1]["crystal"]
        named.add(frozenset((i["crystal"], i["image"]) for i in ends))
    assert len(named) == len(matches)
    assert all(len(pair) == 2 for pair in named)


def check_medians(matches: list[dict], document: dict) -> None:
    """Medians are those of the list, of all pairs and of those alike in orientation."""
    same = document["same_orientation"]["angle"]
    near = [m for m in matches if m["beam_angle"] <= same]
    for key, chosen in (("agreement", matches), ("agreement_same_orientation", near)):
        for name in ("r_factor", "excess_spread", "cc", "background_spread"):
            values = [m[name] for m in chosen if m[name] is not None]
            estimate = document[key][name]
            assert estimate["n_pairs"] == len(values)
            if values:
                # Columns have six digits.
                assert estimate["median"] == pytest.approx(np.median(values), rel=5e-6)
                if estimate["low"] is not None:
                    assert estimate["low"] <= estimate["high"]
            else:
                assert estimate["median"] is None


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUT)
def test_the_page_needs_nothing_and_the_log_has_the_tables(results, name):
    result = results(name)
    loads = Loads()
    loads.feed(result.html)
    outside = [a for a in loads.addresses if not a.startswith(("data:", "#"))]
    assert outside == []
    assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", result.html)
    assert re.search(r"crystal +dataset +images +observations +scale\n", result.log)
    if result.document["n_matches"]:
        assert re.search(r"\n# +image a +image b +common +overlap", result.log)
        assert re.search(r"\nmedian over pairs +within 2° ", result.log)
    parts = ["Input", "Summary", "Tables", "What to do next"]
    places = [result.log.index(f"\n{part}\n{'-' * len(part)}\n") for part in parts]
    assert places == sorted(places)
    assert f"{result.document['input']['observations']:,} observations" in result.log


@pytest.mark.slow
def test_raw_images_are_drawn_where_they_are(results):
    """Cinchonine's frames lie beside the files, abiraterone's nowhere."""
    assert "without raw images" not in results("cinchonine").log
    assert "data:image/png;base64," in results("cinchonine").html
    assert "without raw images" in results("abiraterone").log


@pytest.mark.slow
def test_stills_and_one_crystal_are_told(results):
    assert results("cunir_stills").document["input"]["images"] == 5
    assert "5 images of 5 crystals" in results("cunir_stills").log
    assert "There is one crystal only" in results("quartz").log


@pytest.mark.slow
def test_intensities_in_use(results):
    used = {name: results(name).document["intensity"] for name in INPUT}
    assert used["quartz"] == used["l_cysteine_scaled"] == "scale"
    assert used["narrow_wedges"] == used["cunir_stills"] == "sum"
    assert used["l_cysteine"] == "profile"


@pytest.mark.slow
@pytest.mark.parametrize("xrays", ["l_cysteine", "l_cysteine_scaled"])
def test_xrays_agree_several_times_better_than_electrons(results, xrays):
    """
    A ratio of three in R is far outside what the intervals of either would allow.

    s of the nine pairs of l_cysteine that are of one orientation is 5.5 % (0.2 to 29 %):
    a factor of two is asked, of 2.8 found.
    """
    median = {
        name: {
            key: estimate["median"]
            for key, estimate in results(name)
            .document["agreement_same_orientation"]
            .items()
        }
        for name in (xrays, "abiraterone")
    }
    for name, ratio in (("r_factor", 3), ("excess_spread", 2)):
        assert median["abiraterone"][name] > ratio * median[xrays][name], name
    assert median[xrays]["cc"] > 0.99


@pytest.mark.slow
def test_the_contrast_is_told(results, data_folder, tmp_path):
    """Electrons are given the results of X-rays: the log says how they compare."""
    earlier = results("l_cysteine")
    names, arguments = INPUT["abiraterone"]
    arguments = [*arguments, f"compare_with={earlier.json}"]
    result = compare(tmp_path, data_folder, names, arguments)
    number = r"([\d.]+)"
    told = re.search(
        rf"\(X-rays\), medians .*: R {number} here, {number} there \({number} ×\); "
        rf"s {number} here, {number} there \({number} ×\); CC {number} here",
        " ".join(result.log.split()),
    )
    assert told, "no sentence about the contrast"
    r_here, r_there, r_ratio, s_here, s_there, s_ratio, _ = map(float, told.groups())
    own, other = (d.document["agreement_same_orientation"] for d in (result, earlier))
    assert r_here == pytest.approx(own["r_factor"]["median"], rel=0.005)
    assert r_there == pytest.approx(other["r_factor"]["median"], rel=0.005)
    assert s_here == pytest.approx(own["excess_spread"]["median"], rel=0.005)
    assert s_there == pytest.approx(other["excess_spread"]["median"], rel=0.005)
    assert r_ratio == pytest.approx(r_here / r_there, rel=0.01)
    assert s_ratio == pytest.approx(s_here / s_there, rel=0.01)
    assert r_ratio > 3
    assert s_ratio > 2
    assert "reference (X-rays)" in result.html
