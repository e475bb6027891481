"""
Further kinds of faults, thought of after those of fault_kinds.py had been mended.

As there, each is a function that spoils one case. `TABLE`, `MODEL`, `FILE` and `ARGUMENT`
list them.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np
from fault_kinds import MODELS, NUMBERS, WHOLE, _leaf, one_file, scan_length

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex


def _select(table, chosen):
    return table.select(cctbx_flex.size_t(np.asarray(chosen).astype(np.uint64)))


def _without_crystals(document: dict, kept: list[int]) -> dict:
    """The document with some of its experiments alone."""
    return {**document, "experiment": [document["experiment"][k] for k in kept]}


def mixed_tables(rng, case):
    """Two files, of which one has other columns, or columns of another type."""
    how = rng.integers(6)
    doc = case.document
    table = case.table
    ids = table["id"].as_numpy_array()
    names = dict(table.experiment_identifiers())

    def split():
        for name, kept in (("one", [0]), ("two", [1, 2])):
            part = _select(table, np.flatnonzero(np.isin(ids, kept)))
            for k in [*part.experiment_identifiers().keys()]:
                del part.experiment_identifiers()[k]
            new = np.searchsorted(kept, part["id"].as_numpy_array())
            part["id"] = cctbx_flex.int(new.astype(np.int32))
            for k, old in enumerate(kept):
                part.experiment_identifiers()[k] = names.get(old, "")
            if name == "two":
                _spoil_second(how, rng, part)
            Path(f"{name}.expt").write_text(json.dumps(_without_crystals(doc, kept)))
            part.as_msgpack_file(f"{name}.refl")
        os.remove("case.expt")
        os.remove("case.refl")

    case.files.append(split)
    case.expt, case.refl = ["one.expt", "two.expt"], ["one.refl", "two.refl"]


def _spoil_second(how, rng, part):
    n = len(part)
    optional = [k for k in part.keys() if k not in ("id", "miller_index")]
    if how == 0:
        for name in rng.choice(optional, 3, replace=False):
            del part[str(name)]
    elif how == 1:
        name = str(rng.choice(optional))
        del part[name]
        part[name] = cctbx_flex.int(n, 1)
    elif how == 2:
        part["intensity.scale.value"] = part["intensity.prf.value"] * 2.0
        part["intensity.scale.variance"] = part["intensity.prf.variance"] * 4.0
        part["inverse_scale_factor"] = flex.double(n, 0.5)
    elif how == 3:
        part["more"] = flex.std_string(["x"] * n)
    elif how == 4:
        for name in ("value", "variance"):
            del part[f"intensity.prf.{name}"]
    else:
        for name in ("xyzcal.px", "xyzcal.mm"):
            if name in part:
                del part[name]


def shoeboxes(rng, case):
    """Shoeboxes without pixels, with nan in them, or another thing of that name."""
    table, n = case.table, len(case.table)
    how = rng.integers(4)
    if how == 3:
        table["shoebox"] = flex.double(n)
        return
    few = _select(table, np.arange(min(n, 200)))
    few["shoebox"] = flex.shoebox(few["panel"], few["bbox"])
    if how:
        few["shoebox"] = flex.shoebox(
            few["panel"], cctbx_flex_boxes(len(few)), allocate=True
        )
    if how == 2:
        box = few["shoebox"][0]
        box.data[0] = np.nan
        few["shoebox"][0] = box
    case.table = few


def cctbx_flex_boxes(n: int):
    """Small boxes."""
    return flex.int6([(0, 2, 0, 2, 0, 2)] * n)


def nothing_known(rng, case):
    """A whole column of nan, of nought, of one number, or the negative of it."""
    doubles = [k for k in case.table.keys() if "intensity" in k or k in ("lp", "qe")]
    names = rng.choice(doubles, rng.integers(1, 3), replace=False)
    value = float(rng.choice([np.nan, 0.0, 1.0, -5.0, np.inf]))
    for name in map(str, names):
        if isinstance(case.table[name], flex.double):
            case.table[name] = flex.double(len(case.table), value)


def one_place(rng, case):
    """All reflections on one image, or on images that the scan does not have."""
    how, shift = rng.integers(4), float(rng.choice([-1000, -40, 40, 1e5]))
    for name in ("xyzcal.px", "xyzobs.px.value"):
        if name in case.table:
            values = case.table[name].as_numpy_array().reshape(-1, 3).copy()
            if how == 0:
                values[:, 2] = 5.5
            elif how == 1:
                values[:, 2] += shift
            elif how == 2:
                values = values[:, ::-1]
            else:
                values[:, :2] = 0
            case.table[name] = flex.vec3_double(np.ascontiguousarray(values))


def hardly_any(rng, case):
    """Of each crystal a few reflections; one index alone; the axes alone; no mates."""
    ids = case.table["id"].as_numpy_array()
    hkl = case.table["miller_index"].as_vec3_double().as_numpy_array().reshape(-1, 3)
    how, most = rng.integers(6), int(rng.choice([1, 2, 3, 10]))
    chosen = np.arange(len(ids))
    if how in (0, 1):
        order = rng.permutation(len(ids))
        kept = [order[ids[order] == k][: most if how or k else None] for k in range(3)]
        chosen = np.sort(np.concatenate(kept))
    elif how == 2:
        chosen = np.flatnonzero((hkl == hkl[rng.integers(len(hkl))]).all(axis=1))
    elif how == 3:
        chosen = np.flatnonzero((hkl != 0).sum(axis=1) == 1)
    elif how == 4:
        chosen = np.unique(np.abs(hkl), axis=0, return_index=True)[1]
    else:
        chosen = np.flatnonzero(ids == rng.integers(3))
    case.table = _select(case.table, chosen)


def other_lengths(rng, case):
    """A msgpack file whose columns are shorter or longer than it says, or of no type."""
    import msgpack  # comes with DIALS

    how, pick = rng.integers(9), rng.random()

    def spoil():
        content = msgpack.unpackb(
            Path("case.refl").read_bytes(), raw=True, strict_map_key=False
        )
        _spoil_msgpack(content, how, pick)
        Path("case.refl").write_bytes(msgpack.packb(content))

    case.files.append(spoil)


def _spoil_msgpack(content, how, pick):
    body = content[2]
    data = body[b"data"]
    name = [*data][int(pick * len(data))]
    kind, (n, raw) = data[name]
    if how == 0:
        data[name] = [kind, [n - 1, raw[: len(raw) * (n - 1) // max(n, 1)]]]
    elif how == 1:
        data[name] = [kind, [n, raw[:-3]]]
    elif how == 2:
        data[name] = [b"mat7<double>", [n, raw]]
    elif how == 3:
        body[b"nrows"] = [0, 2**31, -1, 2**63, n + 1][int(pick * 5)]
    elif how == 4:
        body[b"identifiers"] = {k: f"{k}" for k in range(1000)}
    elif how == 5:
        content[1] = 99
    elif how == 6:
        del body[[*body][int(pick * len(body))]]
    elif how == 7:
        data[name] = [b"double", [2**40, raw]]
    else:
        data[name] = [[], {}, None, 3, [kind], [kind, []], [n, kind]][int(pick * 7)]


def widely_spread(rng, case):
    """Intensities or variances over many orders of magnitude, at random."""
    what = ("value", "variance")[rng.integers(2)]
    width = float(rng.choice([3, 10, 40]))
    for kind in ("prf", "sum"):
        name = f"intensity.{kind}.{what}"
        if name in case.table:
            values = case.table[name].as_numpy_array()
            values = values * np.exp(width * rng.normal(size=len(values)))
            case.table[name] = flex.double(np.clip(values, -1e14, 1e14))


def beams(rng, case):
    """A beam that varies along the scan into nothing, or of another kind."""
    beam = case.document["beam"][rng.integers(len(case.document["beam"]))]
    n, how = scan_length(case), rng.integers(7)
    if how == 0:
        beam["s0_at_scan_points"] = [beam["direction"]] * int(rng.choice([1, n, n + 5]))
    elif how == 1:
        beam["s0_at_scan_points"] = [[np.nan] * 3] * (n + 1)
    elif how == 2:
        beam["direction"] = [0.0, 0.0, float(rng.choice([0, 1e-300, 1e300]))]
    elif how == 3:
        beam["__id__"] = str(rng.choice(["polychromatic", "x", "", "monochromatic"]))
    elif how == 4:
        beam["polarization_normal"] = [0.0, 0.0, 0.0]
    elif how == 5:
        beam["probe"] = str(rng.choice(["electron", "neutron", "muon", ""]))
    else:
        for name in ("flux", "transmission", "divergence", "sample_to_source_distance"):
            beam[name] = float(rng.choice(NUMBERS))


def crystals(rng, case):
    """Crystals with setting matrices too many, too few, of nan, or of another cell."""
    crystal = case.document["crystal"][rng.integers(len(case.document["crystal"]))]
    n, how = scan_length(case), rng.integers(8)
    real = np.array([crystal[f"real_space_{x}"] for x in "abc"])
    good = np.linalg.inv(real).ravel().tolist()
    if how == 0:
        count = int(rng.choice([1, 2, n, n + 2, 3 * n]))
        crystal["A_at_scan_points"] = [good] * count
    elif how == 1:
        points = [list(good) for _ in range(n + 1)]
        points[rng.integers(n + 1)][rng.integers(9)] = float(rng.choice(NUMBERS))
        crystal["A_at_scan_points"] = points
    elif how == 2:
        crystal["A_at_scan_points"] = [good[:8]] * (n + 1)
    elif how == 3:
        crystal["B_covariance"] = [float(rng.choice(NUMBERS))] * int(
            rng.choice([3, 81])
        )
    elif how == 4:
        crystal["__id__"] = str(
            rng.choice(["MosaicCrystalSauter2014", "MosaicCrystalKabsch2010", "x", ""])
        )
        crystal["mosaicity"] = crystal["domain_size"] = float(rng.choice(NUMBERS))
        crystal["ML_half_mosaicity_deg"] = crystal["mosaicity"]
        crystal["ML_domain_size_ang"] = crystal["mosaicity"]
    elif how == 5:
        crystal["real_space_a"][rng.integers(3)] = float(rng.choice(NUMBERS))
    elif how == 6:
        crystal["recalculated_unit_cell"] = [float(rng.choice(NUMBERS))] * 6
        crystal["recalculated_cell_volume"] = float(rng.choice(NUMBERS))
    else:
        for axis in ("real_space_a", "real_space_b"):
            crystal[axis] = [x * 1.3 for x in crystal[axis]]


def panels_apart(rng, case):
    """Detectors with a hierarchy, masks, ranges, gains and materials that are none."""
    detector = case.document["detector"][0]
    panel, how = detector["panels"][0], rng.integers(10)
    odd = float(rng.choice(NUMBERS))
    if how == 0:
        panel["mask"] = [[int(x) for x in rng.choice(WHOLE, 4)]]
    elif how == 1:
        panel["trusted_range"] = [odd, -odd]
    elif how == 2:
        panel["gain"] = odd
    elif how == 3:
        panel["px_mm_strategy"] = {
            "type": str(rng.choice(["x", "", "ParallaxCorrect"]))
        }
    elif how == 4:
        panel["px_mm_strategy"] = {"type": "ParallaxCorrectedPxMmStrategy"}
        panel["mu"] = panel["thickness"] = odd
    elif how == 5:
        detector["hierarchy"] = {"children": [{"panel": int(rng.choice(WHOLE))}]}
    elif how == 6:
        other = json.loads(json.dumps(detector))
        other["panels"][0]["origin"] = [0.0, 0.0, 500.0]
        case.document["detector"].append(other)
        case.document["experiment"][0]["detector"] = 1
    elif how == 7:
        panel["image_size"] = [int(rng.choice([1, 3, 10**6, 2**31 - 1])), 3]
    elif how == 8:
        panel["name"] = panel["type"] = "<b>\n" * 300
        panel["identifier"] = "\0"
    else:
        detector["panels"] = [panel, {**panel, "origin": [odd, odd, odd]}]


def other_way(scan):
    """Turn a scan round, as written by DIALS 3.12 or by later releases."""
    kept = scan.get("properties", {}).get("oscillation")
    if kept:
        scan["properties"]["oscillation"] = [-angle for angle in kept]
    else:
        scan["oscillation"] = [0.0, -scan["oscillation"][1]]


def images_apart(rng, case):
    """Scans of different lengths, other times, batches, and ranges that are valid."""
    scans = case.document["scan"]
    scan, how = scans[rng.integers(len(scans))], rng.integers(8)
    if how == 0:
        scan["epochs"] = scan.get("epochs", [])[:2]
    elif how == 1:
        scan["batch_offset"] = int(rng.choice(WHOLE))
    elif how == 2:
        scan["valid_image_ranges"] = {"x": [[1, int(rng.choice(WHOLE))]]}
    elif how == 3:
        scan["properties"] = {"oscillation": [0.0, 1.0], "epochs": [0]}
    elif how == 4:
        first, last = scan["image_range"]
        scan["image_range"] = [first + 1000, last + 1000]
    elif how == 5:
        other_way(scan)
    elif how == 6:
        first, _ = scan["image_range"]
        scan["image_range"] = [first, first + int(rng.choice([0, 1, 5]))]
    else:
        scan["image_range"] = [1.5, "9", [1, 2]][rng.integers(3)]


def goniometers(rng, case):
    """Goniometers of several axes that do not go together."""
    axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    gonio = {
        "axes": axes,
        "angles": [0.0, 10.0, 0.0],
        "names": ["phi", "chi", "omega"],
        "scan_axis": 2,
    }
    how = rng.integers(6)
    if how == 0:
        gonio["scan_axis"] = int(rng.choice([-1, 3, 10**6]))
    elif how == 1:
        gonio["angles"] = gonio["angles"][:2]
    elif how == 2:
        gonio["names"] = ["<b>"] * 4
    elif how == 3:
        gonio["angles"][1] = float(rng.choice(NUMBERS))
    elif how == 4:
        gonio["axes"][rng.integers(3)] = [float(rng.choice(NUMBERS))] * 3
    case.document["goniometer"] = [gonio]
    for entry in case.document["experiment"]:
        entry["goniometer"] = 0


def not_alike(rng, case):
    """Crystals of different groups, cells or radiation, and one that is a still."""
    listed, how = case.document["crystal"], rng.integers(5)
    if how == 0:
        listed[0]["space_group_hall_symbol"] = str(
            rng.choice([" P 1", " P 2y", "-P 2y", "-P 2ac 2ab"])
        )
    elif how == 1:
        for name in ("real_space_a", "real_space_b", "real_space_c"):
            listed[0][name] = [x * 1.2 for x in listed[0][name]]
    elif how == 2:
        beam = {**case.document["beam"][0], "wavelength": 0.9}
        case.document["beam"].append(beam)
        case.document["experiment"][0]["beam"] = len(case.document["beam"]) - 1
    elif how == 3:
        entry = case.document["experiment"][0]
        entry.pop("scan", None)
        entry.pop("goniometer", None)
    else:
        for entry in case.document["experiment"]:
            entry["crystal"] = 0


def other_models(rng, case):
    """Profiles, scaling models and images of kinds that nobody knows."""
    entry, how = case.document["experiment"][0], rng.integers(5)
    odd = [{}, {"__id__": "x"}, {"__id__": "gaussian_rs"}, None, [], "x", 7]
    value = odd[rng.integers(len(odd))]
    if how == 0:
        case.document["profile"] = [value]
        entry["profile"] = 0
    elif how == 1:
        case.document["scaling_model"] = [value]
        entry["scaling_model"] = 0
    elif how == 2:
        case.document["imageset"] = [value]
        entry["imageset"] = 0
    elif how == 3:
        case.document["scaling_model"] = ["nowhere", "/dev/zero", "/", ""]
        entry["scaling_model"] = int(rng.integers(4))
    else:
        entry[str(rng.choice([*MODELS, "imageset"]))] = "other.json"
        Path("other.json").write_text(["{}", "[", '{"a": 1}', ""][rng.integers(4)])


def huge_texts(rng, case):
    """Very long lists and texts, deep ones, and numbers of thousands of digits."""
    parent, key = _leaf(rng, case)
    deep = []
    for _ in range(500):
        deep = [deep]
    odd = ("x" * 10**6, [0.0] * 10**5, deep, "\ud800", "\0", 10**4000, -(10**400))
    parent[key] = odd[rng.integers(len(odd))]


def odd_json(rng, case):
    """JSON with a key twice, remarks, other encodings, or something behind its end."""
    how = rng.integers(9)

    def spoil():
        path = Path("case.expt")
        text = path.read_text()
        ways = (
            lambda: text.replace('"beam":', '"beam": [], "beam":', 1).encode(),
            lambda: text.replace('"crystal":', '"crystal": null, "crystal":').encode(),
            lambda: ("// remark\n" + text).encode(),
            lambda: (text[:-1] + ",}").encode(),
            lambda: (text + text).encode(),
            lambda: b"\xef\xbb\xbf" + text.encode(),
            lambda: text.encode("utf-16"),
            lambda: f"[{text}]".encode(),
            lambda: text.replace('"ExperimentList"', '"DataBlock"').encode(),
        )
        path.write_bytes(ways[how]())

    case.files.append(spoil)


def packed(rng, case):
    """A file that is compressed, is a folder, has something behind, or is there twice."""
    name, how = one_file(rng, case), rng.integers(6)

    def spoil():
        path = Path(name)
        content = path.read_bytes()
        if how == 0:
            path.write_bytes(gzip.compress(content))
        elif how == 1:
            path.unlink()
            path.mkdir()
        elif how == 2:
            path.write_bytes(content + b"\0" * 100)
        elif how == 3:
            path.write_bytes(content * 2)
        elif how == 4:
            shutil.move(name, f"{name}.gz")
        else:
            path.write_bytes(content.replace(b"0", b"\0", 3))

    case.files.append(spoil)
    if how == 4:
        case.expt, case.refl = (
            [f"{x}.gz" if x == name else x for x in files]
            for files in (case.expt, case.refl)
        )


def legal_settings(rng, case):
    """Two to five parameters at once, each as it may be, often at the end of its range."""
    named = [
        d
        for d in case.phil.all_definitions()
        if d.object.type is not None
        and not d.path.startswith(("output", "scale.", "correct.scale", "folder"))
    ]
    for k in rng.choice(len(named), rng.integers(2, 6), replace=False):
        value = _legal(rng, named[k].object)
        if value is not None:
            case.args.append(f"{named[k].path}={value}")


def _legal(rng, definition):
    kind = definition.type
    name = kind.phil_type
    if name == "bool":
        return rng.choice(["True", "False"])
    if name == "choice":
        words = [w.value.strip("*") for w in definition.words]
        return str(rng.choice(words)) if words else None
    if name in ("int", "float"):
        low, high = (getattr(kind, f"value_{x}", None) for x in ("min", "max"))
        old = definition.extract()
        values = [
            low,
            low and low * 1.0001,
            old if isinstance(old, (int, float)) else 1,
        ]
        if high is not None and high <= 400:
            values.append(high)
        value = values[rng.integers(len(values))]
        return None if value is None else int(value) if name == "int" else value
    if name in ("ints", "floats"):
        return ",".join(str(int(x)) for x in rng.integers(0, 4, kind.size_min or 2))
    return "None" if name in ("str", "path") and rng.random() < 0.3 else None


def twice_given(rng, case):
    """A parameter given twice, in a file and besides, or in scopes that are not there."""
    names = [d.path for d in case.phil.all_definitions() if "output" not in d.path]
    name, values = str(rng.choice(names)), rng.choice(["1", "2", "None", "x"], 2)
    how = rng.integers(4)
    if how == 0:
        case.args += [f"{name}={v}" for v in values]
    elif how == 1:
        case.files.append(lambda: Path("a.phil").write_text(f"{name} = {values[0]}\n"))
        case.args += ["a.phil", f"{name}={values[1]}"]
    elif how == 2:
        case.args += [f"{name}.more={values[0]}", f"x.{name}={values[1]}"]
    else:
        case.args += [f"{name.split('.')[-1][:3]}={values[0]}", f"{name}"]


TABLE = (
    *(mixed_tables, shoeboxes, nothing_known, one_place, hardly_any, other_lengths),
    widely_spread,
)
MODEL = (
    *(beams, crystals, panels_apart, images_apart, goniometers, not_alike),
    *(other_models, huge_texts),
)
FILE = (odd_json, packed)
ARGUMENT = (legal_settings, twice_given)
