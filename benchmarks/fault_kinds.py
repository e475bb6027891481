"""
Kinds of faults in input, each a function that spoils one case.

A case is a table of reflections, a list of experiments as the JSON document that it is
stored as, and the arguments of a command. Every kind chooses at random what it spoils and
how. `KINDS` lists them: of tables, of models, of files, and of arguments; only the first
three say something about other programs.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cctbx.array_family import flex as cctbx_flex
from dials.array_family import flex

NUMBERS = (
    *(np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 5e-324, -0.0, 0.0, -1.0, 1.0),
    *(1e15, -1e15, 1e20, 1e38, 2.0**31, -(2.0**31), 2.0**63, 1e-6, 1e4, 180.0),
)
WHOLE = (-1, -2, 0, 1, 2, 3, 77, 300, 10_000, 10**6, 2**31 - 1, -(2**31))
WORDS = (
    *("", " ", "nan", "abc", "None", "Auto", "True", "1,2", "0x10", "9**9**9", "'"),
    *("1e400", "-1e400", "../x", "<script>alert(1)</script>", "x" * 5000, "é\u202e"),
    *("__import__('os').mkdir('run_by_phil')", "1;2", "%s%n", "-1", "1e-300", "inf"),
)


@dataclass
class Case:
    """Input that works, to be spoiled, in the working folder."""

    table: flex.reflection_table | None
    document: dict | None
    args: list[str]
    phil: object = None
    expt: list[str] = field(default_factory=lambda: ["case.expt"])
    refl: list[str] = field(default_factory=lambda: ["case.refl"])
    files: list[Callable[[], None]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def write(self) -> list[str]:
        """Write the files, spoil them further, and give the arguments."""
        if self.table is not None:
            Path("case.expt").write_text(json.dumps(self.document))
            self.table.as_msgpack_file("case.refl")
        for name, text in self.texts.items():
            Path(name).write_bytes(text.encode("utf-8", "replace"))
        for spoil in self.files:
            spoil()
        return [*self.expt, *self.refl, *self.args]


def one_file(rng, case: Case, share: float = 0.5) -> str:
    """The name of one of the files: of experiments, or of reflections."""
    if not (case.expt and case.refl):
        return [*case.expt, *case.refl][0]
    return case.expt[0] if rng.random() < share else case.refl[0]


def _rows(rng, n: int) -> np.ndarray:
    """One row, a few, half of them, or all."""
    how = rng.integers(4)
    count = max(1, min(n, [1, 5, n // 2, n][how]))
    return rng.choice(n, count, replace=False)


def _names(case: Case, kind: str) -> list[str]:
    return [k for k in case.table.keys() if type(case.table[k]).__name__ == kind]


def _known(rng, case: Case, kind: str) -> str:
    """A column, more often one that programs read."""
    names = _names(case, kind)
    used = [n for n in names if n.split(".")[0] in USED]
    return str(rng.choice(used if used and rng.random() < 0.8 else names))


USED = (
    *("id", "flags", "miller_index", "intensity", "xyzcal", "xyzobs", "partiality"),
    *("lp", "qe", "zeta", "bbox", "panel", "inverse_scale_factor", "d", "s1"),
)


def column_type(rng, case):
    """A column of another type."""
    used = [k for k in case.table.keys() if k.split(".")[0] in USED]
    name, n = str(rng.choice(used)), len(case.table)
    makers = (
        lambda: flex.int(n, 3),
        lambda: cctbx_flex.size_t(n, 3),
        lambda: flex.double(n, 3.0),
        lambda: flex.bool(n, True),
        lambda: flex.vec3_double(n, (1, 2, 3)),
        lambda: flex.int6(n),
        lambda: flex.miller_index(n, (1, 2, 3)),
        lambda: flex.std_string(["<b>x</b>"] * n),
        lambda: flex.vec2_double(n, (1, 2)),
    )
    del case.table[name]
    case.table[name] = makers[rng.integers(len(makers))]()


def column_missing(rng, case):
    """One to three columns are not there."""
    for name in rng.choice([*case.table.keys()], rng.integers(1, 4), replace=False):
        del case.table[str(name)]


def extreme_numbers(rng, case):
    """Numbers that nothing measured has."""
    name = _known(rng, case, "double")
    values = case.table[name].as_numpy_array()
    values[_rows(rng, len(values))] = rng.choice(NUMBERS)
    case.table[name] = flex.double(values)


def scaled_numbers(rng, case):
    """A column in other units, or with its sign turned."""
    name = _known(rng, case, "double")
    factor = float(rng.choice([-1, 0, 1e-150, 1e-12, 1e12, 1e150]))
    case.table[name] = case.table[name] * factor


def extreme_vectors(rng, case):
    """Positions that are nowhere."""
    name = _known(rng, case, "vec3_double")
    values = case.table[name].as_numpy_array().reshape(-1, 3).copy()
    columns = slice(None) if rng.random() < 0.3 else rng.integers(3)
    values[_rows(rng, len(values)), columns] = rng.choice(NUMBERS)
    case.table[name] = flex.vec3_double(np.ascontiguousarray(values))


def boxes(rng, case):
    """Bounding boxes turned round, empty or endless."""
    values = np.array(case.table["bbox"]).reshape(-1, 6)
    values[_rows(rng, len(values)), rng.integers(6)] = rng.choice(WHOLE)
    case.table["bbox"] = flex.int6([tuple(int(x) for x in row) for row in values])


def indices(rng, case):
    """Miller indices of no reflection."""
    hkl = case.table["miller_index"].as_vec3_double().as_numpy_array()
    hkl = hkl.reshape(-1, 3).astype(int)
    rows = _rows(rng, len(hkl))
    columns = slice(None) if rng.random() < 0.3 else rng.integers(3)
    hkl[rows, columns] = rng.choice(WHOLE)
    case.table["miller_index"] = flex.miller_index([tuple(map(int, h)) for h in hkl])


def ids(rng, case):
    """Numbers of experiments that there are not."""
    values = case.table["id"].as_numpy_array()
    values[_rows(rng, len(values))] = rng.choice(WHOLE)
    case.table["id"] = cctbx_flex.int(values)


def panels(rng, case):
    """Panels that there are not."""
    values = case.table["panel"].as_numpy_array()
    values[_rows(rng, len(values))] = [1, 77, 2**31, 2**62][rng.integers(4)]
    case.table["panel"] = cctbx_flex.size_t(values.astype(np.uint64))


def flags(rng, case):
    """Other flags."""
    values = case.table["flags"].as_numpy_array()
    values[_rows(rng, len(values))] = [0, 1, 2**20, 2**40, 2**63 - 1][rng.integers(5)]
    case.table["flags"] = cctbx_flex.size_t(values.astype(np.uint64))


def identifiers(rng, case):
    """Names of experiments missing, exchanged, the same, odd, or of nothing."""
    names = case.table.experiment_identifiers()
    keys = [*names.keys()]
    old = [names[k] for k in keys]
    how = rng.integers(6)
    for k in keys:
        del names[k]
    new = [
        {},
        dict(zip(keys, old[1:] + old[:1])),
        dict.fromkeys(keys, old[0]),
        dict.fromkeys(keys, ""),
        {k: f"<b>{name}\n" for k, name in zip(keys, old)},
        {k + 5: name for k, name in zip(keys, old)},
    ][how]
    for k, name in new.items():
        names[k] = name


def rows(rng, case):
    """Rows repeated, out of order, of one reflection, or hardly any."""
    n = len(case.table)
    how = rng.integers(6)
    chosen = [
        np.zeros(0),
        rng.integers(n, size=1),
        rng.integers(n, size=3),
        rng.permutation(n),
        np.repeat(np.arange(n), 2),
        np.full(50, rng.integers(n)),
    ][how]
    case.table = case.table.select(cctbx_flex.size_t(chosen.astype(np.uint64)))


def scaled(rng, case):
    """Scaled intensities, some with scales that are none."""
    table, n = case.table, len(case.table)
    for what in ("value", "variance"):
        table[f"intensity.scale.{what}"] = table[f"intensity.prf.{what}"] * 1.0
    factor = np.ones(n)
    factor[_rows(rng, n)] = rng.choice(NUMBERS)
    table["inverse_scale_factor"] = flex.double(factor)


def corrected(rng, case):
    """Columns of a correction, not all of them or with odd numbers."""
    table, n = case.table, len(case.table)
    for kind in ("prf", "sum"):
        for what in ("value", "variance"):
            name = f"intensity.{kind}.{what}"
            if name in table:
                table[f"intensity.{kind}.original.{what}"] = table[name] * 1.0
    factor = np.ones(n)
    if rng.random() < 0.5:
        factor[_rows(rng, n)] = rng.choice(NUMBERS)
    table["ml_correction"] = flex.double(factor)
    added = [k for k in table.keys() if "original" in k or k == "ml_correction"]
    if rng.random() < 0.6:
        del table[str(rng.choice(added))]
    if rng.random() < 0.7 and any(
        "undo" in d.path for d in case.phil.all_definitions()
    ):
        case.args.append("undo=True")


def more_columns(rng, case):
    """Columns that nobody knows."""
    n = len(case.table)
    for name in ("../x", "<script>", "x" * 3000, "é\n", "", "intensity.x.value"):
        case.table[name] = (flex.std_string(["<b>"] * n), flex.bool(n))[rng.integers(2)]


MODELS = ("beam", "detector", "goniometer", "scan", "crystal")


def _leaves(value, path=()) -> Iterator[tuple]:
    items = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:40])
    for key, inner in items:
        if isinstance(inner, (dict, list)) and inner:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key)


def _at(document, path):
    for key in path:
        document = document[key]
    return document


def _leaf(rng, case):
    name = str(rng.choice(MODELS))
    paths = [p for p in _leaves(case.document[name]) if p[-1] != "exposure_time"]
    path = paths[rng.integers(len(paths))]
    return _at(case.document[name], path[:-1]), path[-1]


def model_numbers(rng, case):
    """One number of a model that is none."""
    for _ in range(50):
        parent, key = _leaf(rng, case)
        old = parent[key]
        if isinstance(old, (int, float)) and not isinstance(old, bool):
            break
    else:
        return
    choices = [*NUMBERS, old * 1e3, -old, old * 1e-3, 10**40, 2**31, 2**63]
    new = choices[rng.integers(len(choices))]
    if isinstance(old, int) and np.isfinite(new) and rng.random() < 0.7:
        new = int(new)
    parent[key] = new


def model_types(rng, case):
    """Something else where a number, a text or a list was."""
    parent, key = _leaf(rng, case)
    odd = (None, True, "text", "<b>", [], {}, [1, 2], {"a": 1}, "nan")
    parent[key] = odd[rng.integers(len(odd))]


def model_missing(rng, case):
    """A part of a model, or all of it, is not there."""
    how = rng.integers(3)
    name = str(rng.choice(MODELS))
    if how == 0:
        parent, key = _leaf(rng, case)
        del parent[key]
    elif how == 1:
        case.document[name] = [[], None, [None], {}][rng.integers(4)]
    else:
        for entry in case.document["experiment"]:
            entry.pop(name, None)


def detectors(rng, case):
    """A detector without size, without panels, at the crystal, or of a thousand."""
    panel = case.document["detector"][0]["panels"][0]
    how = rng.integers(6)
    if how == 0:
        panel["image_size"] = [0, 0]
    elif how == 1:
        panel["pixel_size"] = [0.0, 0.0]
    elif how == 2:
        panel["origin"] = [0.0, 0.0, 0.0]
    elif how == 3:
        case.document["detector"][0]["panels"] = []
    elif how == 4:
        panel["slow_axis"] = panel["fast_axis"]
    else:
        case.document["detector"][0]["panels"] = [panel] * 1000


def along_axis(rng, case):
    """The beam along the axis of rotation, or an axis of no length."""
    gonio = case.document["goniometer"][0]
    how = rng.integers(3)
    if how == 0:
        gonio["rotation_axis"] = case.document["beam"][0]["direction"]
    elif how == 1:
        gonio["rotation_axis"] = [0.0, 0.0, 0.0]
    else:
        gonio["setting_rotation"] = [0.0] * 9


def cells(rng, case):
    """A cell of no volume, of the other hand, tiny, huge, or of another group."""
    crystal = case.document["crystal"][rng.integers(len(case.document["crystal"]))]
    how = rng.integers(6)
    axes = ("real_space_a", "real_space_b", "real_space_c")
    if how == 0:
        crystal[axes[1]] = crystal[axes[0]]
    elif how == 1:
        crystal[axes[0]] = [-x for x in crystal[axes[0]]]
    elif how in (2, 3):
        factor = float(rng.choice([1e-30, 1e30, 1e-3, 1e3, 0.5, 2]))
        for name in axes if how == 2 else axes[:1]:
            crystal[name] = [x * factor for x in crystal[name]]
    else:
        groups = ("", "P 999", "F 4 2 3", "P 1", "P 6", "hall: x", "<b>", "-P 2ybc")
        crystal["space_group_hall_symbol"] = groups[rng.integers(len(groups))]


def scans(rng, case):
    """Scans backwards, endless, of no width, or of other lengths than they say."""
    scan = case.document["scan"][0]
    how = rng.integers(6)
    if how == 0:
        scan["image_range"] = scan["image_range"][::-1]
    elif how == 1:
        scan["image_range"] = [1, int(rng.choice([2**31 - 1, 10**7, 0, -5]))]
    elif how == 2:
        scan["oscillation"] = [0.0, float(rng.choice(NUMBERS))]
    elif how == 3:
        scan["exposure_time"] = scan["exposure_time"][:3]
    elif how == 4:
        first = int(rng.choice(WHOLE))
        scan["image_range"] = [first, first + 10]
    else:
        del case.document["scan"]
        for entry in case.document["experiment"]:
            entry.pop("scan", None)


def scan_points(rng, case):
    """Crystals and goniometers that vary along the scan into nothing."""
    n = scan_length(case)
    n = [n + 1, 3, 1, n + 1][rng.integers(4)]
    odd = float(rng.choice([np.nan, 0.0, 1e300, 1e-300, 1.0]))
    if rng.random() < 0.5:
        points = np.tile([odd, 0, 0, 0, odd, 0, 0, 0, odd], (n, 1)).tolist()
        case.document["crystal"][0]["A_at_scan_points"] = points
    else:
        points = [[odd] * 9] * n
        case.document["goniometer"][0]["setting_rotation_at_scan_points"] = points


def scan_length(case) -> int:
    first, last = case.document["scan"][0]["image_range"]
    return last - first + 1


def entries(rng, case):
    """Experiments that point to nothing, share a name, have none, or are there twice."""
    listed = case.document["experiment"]
    how = rng.integers(6)
    if how == 0:
        listed[0][str(rng.choice(MODELS))] = int(rng.choice([7, -1, 10**6]))
    elif how == 1:
        for entry in listed:
            entry["identifier"] = "same"
    elif how == 2:
        for entry in listed:
            entry.pop("identifier", None)
    elif how == 3:
        case.document["experiment"] = listed + listed
    elif how == 4:
        case.document["experiment"] = []
    else:
        listed[0]["identifier"] = "<img src=x>" * 50 + "\n"


def imagesets(rng, case):
    """Images under names that are none."""
    names = ("", "/proc/self/mem", "/dev/zero", "\0", "<b>#.cbf", "x" * 9000, "##")
    for imageset in case.document.get("imageset", []):
        imageset["template"] = names[rng.integers(len(names))]
        imageset["mask"] = names[rng.integers(len(names))]


def truncated(rng, case):
    """A file that ends early."""
    name = one_file(rng, case)
    part = rng.random()

    def spoil():
        content = Path(name).read_bytes()
        Path(name).write_bytes(content[: int(part * len(content))])

    case.files.append(spoil)


def flipped(rng, case):
    """Some bytes of a file are others."""
    name = one_file(rng, case, 0.4)
    n, seed = int(rng.choice([1, 3, 30])), int(rng.integers(2**31))

    def spoil():
        content = bytearray(Path(name).read_bytes())
        own = np.random.default_rng(seed)
        begin = 400 if own.random() < 0.5 else len(content)
        for place in own.integers(min(begin, len(content)), size=n):
            content[place] = own.integers(256)
        Path(name).write_bytes(bytes(content))

    case.files.append(spoil)


class Marks:
    """Makes a folder when it is read by pickle."""

    def __reduce__(self):
        return os.mkdir, ("run_by_pickle",)


def other_files(rng, case):
    """Something else under the name of a file."""
    name = one_file(rng, case)

    def fifo():
        os.remove(name)
        os.mkfifo(name)

    def loop():
        os.remove(name)
        os.symlink(name, name)

    def link(target):
        os.remove(name)
        os.symlink(target, name)

    ways = (
        lambda: Path(name).write_bytes(b""),
        lambda: Path(name).write_text("h k l\n1 2 3\n"),
        lambda: Path(name).write_bytes(os.urandom(1000)),
        lambda: Path(name).write_bytes(pickle.dumps(Marks())),
        lambda: Path(name).write_bytes(pickle.dumps(Marks(), protocol=0)),
        lambda: Path(name).write_text("[" * 100_000),
        lambda: Path(name).write_text('{"__id__": "ExperimentList"}'),
        lambda: Path(name).write_text('{"a": 1e999, "b": NaN}'),
        lambda: Path(name).write_bytes(b"\x93" + b"\xff" * 100),
        lambda: Path(name).write_bytes(b"\xff\xfe" + Path(name).read_bytes()),
        fifo,
        loop,
        lambda: link("/dev/zero"),
        lambda: link("/proc/self/mem"),
        lambda: link("/"),
        lambda: link("nowhere"),
    )
    case.files.append(ways[rng.integers(len(ways))])


def copies(rng, case):
    """Files swapped, alone, twice, or in a copy under other identifiers."""
    how = rng.integers(5)
    if how == 0:
        case.expt, case.refl = ["case.refl"], ["case.expt"]
    elif how == 1:
        (case.expt if rng.random() < 0.5 else case.refl).clear()
    elif how == 2:
        case.expt, case.refl = case.expt * 2, case.refl * 2
    else:

        def copy():
            document = json.loads(Path("case.expt").read_text())
            table = flex.reflection_table.from_msgpack_file("case.refl")
            names = table.experiment_identifiers()
            for k in [*names.keys()]:
                other = f"copy of {names[k]}"
                del names[k]
                names[k] = other
                document["experiment"][k]["identifier"] = other
            Path("copy.expt").write_text(json.dumps(document))
            table.as_msgpack_file("copy.refl")
            if how == 4:
                shutil.copy("case.expt", "copy.expt")
                shutil.copy("case.refl", "copy.refl")

        case.files.append(copy)
        case.expt, case.refl = [*case.expt, "copy.expt"], [*case.refl, "copy.refl"]


def odd_names(rng, case):
    """Files under odd names, and such as are no files."""
    names = ("a b", "é", "-x", "a\nb", "x" * 250, "a=b", "<b>", "#", "%s", "x" * 300)
    stem = names[rng.integers(len(names))]

    def rename():
        for ending in ("expt", "refl"):
            if len(stem) <= 250:
                Path(f"case.{ending}").rename(f"{stem}.{ending}")

    case.files.append(rename)
    case.expt, case.refl = [f"{stem}.expt"], [f"{stem}.refl"]


def phil_numbers(rng, case):
    """A number among the parameters that is none."""
    kinds = ("int", "float", "ints", "floats")
    names = [
        d.path for d in case.phil.all_definitions() if d.object.type.phil_type in kinds
    ]
    values = (*WORDS, *(str(x) for x in NUMBERS), "1e308", "99999999999999999999")
    case.args.append(f"{rng.choice(names)}={values[rng.integers(len(values))]}")


def phil_others(rng, case):
    """Nonsense for any parameter."""
    names = [d.path for d in case.phil.all_definitions()]
    case.args.append(f"{rng.choice(names)}={WORDS[rng.integers(len(WORDS))]}")


def phil_files(rng, case):
    """Files of parameters that are none."""
    contents = (
        b"",
        b"{",
        b"}" * 50,
        b"\xff\xfe\x00",
        b"include file case.phil\n",
        b"seed = __import__('os').mkdir('run_by_phil')\n",
        b"seed = nan\n",
        b"nonsense {\n a = 1\n}\n",
        b"seed = 9**9**9\n",
        b"output { log = None }\nseed = 1 2 3\n",
        b"{" * 5000,
        b"seed = " + b"1" * 100_000 + b"\n",
    )
    content = contents[rng.integers(len(contents))]
    case.files.append(lambda: Path("case.phil").write_bytes(content))
    case.args.append("case.phil")


def outputs(rng, case):
    """Outputs that cannot be written, or must not be."""
    names = [
        d.path
        for d in case.phil.all_definitions()
        if d.path.startswith("output.") and d.object.type.phil_type == "path"
    ]

    def make():
        os.symlink("loop", "loop")
        os.mkdir("folder")

    case.files.append(make)
    given = one_file(rng, case)
    values = (
        # A pipe as an output waits for its reader, as with any program.
        *("x" * 300, "x/" * 3000, "/proc/x", "/proc/self/mem", "/dev/full", "loop"),
        *("folder", "none/x", given, given, "a\nb", "", "loop/x", "/"),
        *(f"{given}/x", "/dev/null", ".", "..", "folder/", "\x01"),
    )
    value = values[rng.integers(len(values))]
    for name in rng.choice(names, rng.integers(1, 3), replace=False):
        case.args.append(f"{name}={value}")


def paths(rng, case):
    """Other files than the command can take."""
    names = [
        d.path
        for d in case.phil.all_definitions()
        if d.path in ("compare_with", "model", "reference", "structure")
    ]

    def make():
        os.mkfifo("pipe")
        os.symlink("loop", "loop")
        Path("noise.cif").write_bytes(os.urandom(3000))
        Path("empty.cif").write_bytes(b"")
        Path("odd.cif").write_text(
            "data_x\nloop_\n_atom_site_label\nC1\nC2\n_cell_length_a x"
        )
        Path("deep.json").write_text("[" * 100_000)
        Path("odd.json").write_text('{"command": "dials.compare_images", "input": 1}')
        Path("odd.hkl").write_text("   1   2   3     nan     inf\n" * 50)
        Path("odd.ins").write_text("TITL x\nCELL 0.02 nan 1e300 -1 90 90 90\nLATT 1\n")
        Path("odd.res").write_text(
            "TITL\nCELL 1 5 5 5 90 90 90\nSFAC C\nC1 1 nan 0 0 11 1\n"
        )

    case.files.append(make)
    values = (
        *("pipe", "loop", "noise.cif", "empty.cif", "odd.cif", "deep.json", "odd.json"),
        *("odd.hkl", "odd.ins", "odd.res", "case.expt", "case.refl", "/dev/zero"),
        *("/proc/self/mem", "/", "none", "x" * 300, "quartz", "random"),
    )
    if names:
        case.args.append(f"{rng.choice(names)}={values[rng.integers(len(values))]}")


TABLE = (
    *(column_type, column_missing, extreme_numbers, scaled_numbers, extreme_vectors),
    *(boxes, indices, ids, panels, flags, identifiers, rows, scaled, corrected),
    more_columns,
)
MODEL = (
    *(model_numbers, model_types, model_missing, detectors, along_axis, cells, scans),
    *(scan_points, entries, imagesets),
)
FILE = (truncated, flipped, other_files, copies, odd_names)
ARGUMENT = (phil_numbers, phil_others, phil_files, outputs, paths)
KINDS = (*TABLE, *MODEL, *FILE, *ARGUMENT)
