"""The tables of the log have a row for each thing, and – for what is not known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from dials_spread.pairs import MedianOverPairs, SameOrientation
from dials_spread.report.compare_images import log_tables


def test_tables_of_the_log():
    crystals = [
        {"crystal": 0, "dataset": 1, "images": 12, "observations": 3456, "scale": 0.5}
    ]
    document = {"input": {"by_crystal": crystals, "dropped": {"not scaled": 7}}}
    assert log_tables.input_table(document).splitlines()[6].split() == [
        *("0", "1", "12", "3,456", "0.500"),
    ]
    assert log_tables.dropped_table(document).splitlines()[5].split() == [
        *("not", "scaled", "7"),
    ]
    image = {"dataset": 0, "crystal": 3, "image": 12, "image_last": 15}
    match = dict.fromkeys(("cc", "r_factor", "chi_square", "excess_spread"), 0.5)
    match |= {"image_a": image, "image_b": image, "n_common": 9, "overlap": 0.25}
    match |= {"beam_angle": 1.5, "operator": "h,k,l", "background_spread": None}
    told = log_tables.matches_table([match] * 4).split("\n\n")
    assert "angle" in told[0]
    lines = told[1].splitlines()
    assert len(lines) == 8
    assert lines[3].split()[-1] == "–"
    assert "0 / 3 / 12–15" in lines[3]
    assert lines[6].split()[0] == "4"


def test_table_of_the_medians():
    r = MedianOverPairs(0.25, 0.2, 0.3, n_pairs=10, n_crystals=5)
    cc = MedianOverPairs(np.nan, np.nan, np.nan, n_pairs=0, n_crystals=0)
    names = ("scale", "cc", "cc_rank", "chi_square")
    names += ("excess_spread", "background_spread", "spread_ratio")
    summary = {"r_factor": r, **dict.fromkeys(names, cc)}
    comparison = SimpleNamespace(
        summary=summary,
        summary_same=summary,
        same_orientation=SameOrientation(2.0, ""),
    )
    lines = log_tables.agreement_table(comparison).splitlines()[2:]
    (row,) = [line for line in lines if line.startswith("R ")]
    assert row.split()[1:] == [
        *("0.250", "0.200", "–", "0.300", "10", "5"),
        *("0.250", "0.200", "–", "0.300", "10", "5"),
    ]
    assert "within 2°" in lines[1]


def test_a_scale_that_is_undetermined_is_not_printed_as_one():
    crystal = {"dataset": 0, "images": 1, "observations": 5}
    crystals = [crystal | {"crystal": i, "scale": k} for i, k in ((0, 1.0), (1, 1.2))]

    def scales(intensity):
        document = {"input": {"by_crystal": crystals, "intensity": intensity}}
        lines = log_tables.input_table(document).splitlines()
        return [line.split()[-1] for line in lines if line[:1] in "01" and line]

    assert scales("profile") == ["–", "1.20"]
    assert scales("scale") == ["1", "1.20"]
