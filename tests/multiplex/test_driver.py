"""Where the correction comes in a run, and what it leaves behind.

The order in which xia2 calls its own methods is written out here, since it is mostly not
installed; the corrections are real runs of dials.ml_correct on simulated data. With xia2
itself test_xia2.py runs.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from cctbx.array_family import flex as cctbx_flex

from dials_spread.multiplex.arguments import CorrectionPlan
from dials_spread.multiplex.driver import Corrections, extended_classes
from dials_spread.multiplex.releases import Xia2, substituted
from dials_spread.observations.correction_state import correction_state


class Citations:
    """As xia2's: what can be cited, and what is."""

    def __init__(self) -> None:
        self._citations: dict = {"dials": [{}]}
        self.cited: list[str] = []

    def cite(self, program: str) -> None:
        if program not in self.cited:
            self.cited.append(program)


class Handler:
    """As that of newer releases: files must exist when they are announced."""

    def __init__(self) -> None:
        self.logs: list[str] = []
        self.others: list[str] = []

    def record_log_file(self, name: str) -> None:
        assert os.path.exists(name)
        self.logs.append(os.path.basename(name))

    def record_optional_file(self, name: str) -> None:
        assert os.path.exists(name)
        self.others.append(os.path.basename(name))


class Scale:
    """Scales from the integrated intensities, whatever was scaled before."""

    def __init__(self, data_manager, params, filtering=False):
        self._data_manager = data_manager
        self._reflections_filename = "scaled.refl"
        self.d_min = 1.4
        table = data_manager.reflections
        table = table.select(cctbx_flex.bool(len(table), True))
        for what in ("value", "variance"):
            table[f"intensity.scale.{what}"] = table[f"intensity.prf.{what}"]
        table["inverse_scale_factor"] = cctbx_flex.double(len(table), 1.0)
        data_manager.reflections = table


class MultiCrystalScale:
    """Calls in the order of xia2: all data, one cluster, filtering, the report."""

    scale: type = Scale

    def __init__(self, experiments, reflections, params):
        self._params = params
        self._data_manager = SimpleNamespace(
            experiments=experiments, reflections=reflections
        )
        self.seen: list[str] = []
        self.unit_cell_clustering(plot_name="cluster.png")
        if params.symmetry.resolve_indexing_ambiguity:
            self.cosym()
        self.look("cosym")
        scaled = self.scale(self._data_manager, params)
        self.look("All data")
        self.files = [scaled._reflections_filename]
        own = SimpleNamespace(**vars(self._data_manager))
        os.makedirs("cos_cluster_3", exist_ok=True)
        os.chdir("cos_cluster_3")
        self.scale(own, params)
        os.chdir("..")
        self.scale(own, params, filtering=True)
        self.seen.append(correction_state(own.reflections))
        self.report()

    def look(self, what: str) -> None:
        self.seen.append(correction_state(self._data_manager.reflections))

    def unit_cell_clustering(self, plot_name=None):
        return "clusters"

    def cosym(self):
        return None

    def report(self):
        with open("xia2.multiplex.html", "w", encoding="utf-8") as file:
            file.write('<body><div id="home" class="tab-pane"></div></body>')


def whole_run(simulated, placement: str, ambiguous: bool = True, **more):
    """One run; what ran it and what was corrected."""
    numbers = iter(range(1, 100))
    parts = SimpleNamespace(_get_number=lambda: next(numbers))
    xia2 = Xia2(None, None, Citations(), parts, None, more.pop("handler", None), "3")
    corrections = Corrections(xia2, CorrectionPlan(placement=placement, **more))
    whole, scale = extended_classes(corrections, MultiCrystalScale, Scale)
    params = SimpleNamespace(
        nproc=1,
        symmetry=SimpleNamespace(resolve_indexing_ambiguity=ambiguous),
        resolution=SimpleNamespace(d_min=None),
    )
    with substituted((MultiCrystalScale, "scale", scale)):
        done = whole(*simulated, params)
    return done, corrections


@pytest.mark.slow
@pytest.mark.parametrize("ambiguous", [True, False])
def test_before_scaling_is_once_and_everything_inherits_it(
    simulated, tmp_path, monkeypatch, ambiguous
):
    monkeypatch.chdir(tmp_path)
    done, corrections = whole_run(simulated, "before", ambiguous)
    assert done.seen == ["corrected"] * 3
    assert [s.dataset for s in corrections.steps] == ["All data"]
    assert done.files == ["scaled.refl"]
    assert corrections.xia2.citations.cited == ["dials.ml_correct", "dials"]
    page = (tmp_path / "xia2.multiplex.html").read_text(encoding="utf-8")
    assert page.count("All data, corrected before scaling") == 1
    assert '<a href="1_dials.ml_correct.html">' in page


@pytest.mark.slow
def test_after_scaling_is_after_each_scaling(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handler = Handler()
    done, corrections = whole_run(simulated, "after", handler=handler)
    assert done.seen == ["none", "corrected", "corrected"]
    assert [s.dataset for s in corrections.steps] == [
        *("All data", "cos cluster 3", "Filtered")
    ]
    assert [s.refused for s in corrections.steps] == ["", "", ""]
    assert done.files == ["1_corrected.refl"]
    page = (tmp_path / "xia2.multiplex.html").read_text(encoding="utf-8")
    # Where the file handler will have put them.
    for name in ("", "cos_cluster_3/2_", "3_"):
        assert f'<a href="LogFiles/{name or "1_"}dials.ml_correct.html">' in page
    assert "1_dials.ml_correct.log" in handler.logs
    assert "2_corrected.refl" in handler.others


def test_none_changes_nothing(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done, corrections = whole_run(simulated, "none")
    assert done.seen == ["none"] * 3
    assert corrections.steps == [] and corrections.xia2.citations.cited == []
    page = (tmp_path / "xia2.multiplex.html").read_text(encoding="utf-8")
    assert "dials_spread" not in page


@pytest.mark.slow
def test_data_that_are_refused_end_the_run(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiments, table = simulated
    few = table.select(table["d"] > 4)
    with pytest.raises(ValueError, match=r"(?s)120 are needed.*placement=none"):
        whole_run((experiments, few), "before")


def test_names_are_as_they_were_when_the_run_ends():
    module = SimpleNamespace(known=1)
    with pytest.raises(RuntimeError):
        with substituted((module, "known", 2), (module, "unknown", 3)):
            assert vars(module) == {"known": 2}
            raise RuntimeError
    assert vars(module) == {"known": 1}
