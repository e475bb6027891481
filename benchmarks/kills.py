"""
Kill the commands at random moments, most of them while they write, and look what is left.

Old results lie in the folder. A run is forked from a process that has imported everything,
and a signal ends it: SIGKILL, SIGINT to all its processes as by Ctrl-C on a terminal, or
SIGTERM. Counted are half files, files that are gone, sets of which some files are of the
old run and some of the new, hidden files that are left when a run has ended well after
the last kill, processes alive two seconds later, exit status, lines on standard error
and the time to the exit. What a run writes after the last kill has to be what was written
before the first.

with_structure is dials.ml_correct with a provisional structure. Of dials.compare_placement,
which keeps what its programs have written, a part of the runs begins without that.

    python benchmarks/kills.py [--kills 100] [--signals 100] [--seed 0] [--programs ...]
                               [--json kills.json]

PYTHONPATH chooses the tree that is tried. The input is simulated.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import hashlib
import importlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

IN_WRITING = 0.8
"""Share of the signals that come while files are written."""

LATER = 0.004
"""Half of these come at once before a change of files, half up to so much later [s]."""

AT_THE_END, LAST = 0.5, 24
"""Share of these that come at one of the last changes, where results are put in place."""

INPUT = ["structure=paracetamol", "n_crystals=3", "d_min=1.2", "wave=kinematic"]
SIMULATE = ["structure=quartz", "n_crystals=3", "d_min=1.3", "scan_width=40"]
DATA = ["../in.expt", "../in.refl"]
QUICK = [
    f"{name}.analyse=False"
    for name in ("spread", "variogram", "components", "normality", "likelihood", "beam",
                 "orientations", "noisy_spots")
]  # fmt: skip
"""The analysis takes most of the time and writes nothing."""

FAST = ["refinement.enable=False", "solution.enable=False", "shelx=False",
        "resampling.draws=20", "scale.model=KB"]  # fmt: skip

PROGRAMS = {
    "compare_images": ([*DATA, *QUICK], ["json", "html", "log", "npz"]),
    "ml_correct": (
        [*DATA, "output.merged=corrected.hkl"],
        ["expt", "refl", "hkl", "json", "html", "log"],
    ),
    "with_structure": (
        [*DATA, "structure=paracetamol", "output.merged=corrected.hkl", "nproc=1"],
        ["expt", "refl", "hkl", "json", "html", "log"],
    ),
    "compare_placement": (
        [*DATA, "structure=paracetamol", *FAST, "nproc=2"],
        ["hkl", "html", "ins", "json", "log"],
    ),
    "simulate_ed": ([*SIMULATE, "nproc=2"], ["expt", "refl", "json", "log"]),
    "import_pets": (["../a.cif_pets"], ["expt", "refl", "log"]),
}
"""Arguments, and endings of the files that are written."""

MODULES = {"with_structure": "ml_correct"}
"""Commands that are tried under another name, too."""

ANEW = 0.4
"""Share of the runs of dials.compare_placement that run all programs."""


def fork_run(
    command: str, args: list[str], folder: Path, hook: tuple | None = None
) -> int:
    """Start a run in a session of its own; its standard error goes to a file beside."""
    pid = os.fork()
    if pid:
        return pid
    try:
        be_program(command, args, folder, hook)
    except SystemExit as left:
        if isinstance(left.code, str):
            sys.stderr.write(left.code)
        sys.stderr.flush()
        os._exit(left.code if isinstance(left.code, int) else 1)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(130 if sys.exc_info()[0] is KeyboardInterrupt else 1)
    os._exit(0)


def be_program(command: str, args: list[str], folder: Path, hook: tuple | None) -> None:
    """Run a command as its installed program does."""
    os.setsid()
    os.chdir(folder)
    for number, name in ((1, os.devnull), (2, "../stderr.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    command = MODULES.get(command, command)
    sys.argv = [f"dials.{command}", *args]
    run = importlib.import_module(f"dials_spread.command_line.{command}").run
    try:
        from dials_spread.interruption import install
    except ImportError:  # of the code before there was one
        pass
    else:
        install(sys.argv[0])
    if hook is not None:
        sys.addaudithook(Countdown(folder, *hook))
    run()


def outputs(folder: Path) -> dict[str, Path]:
    """The files of a run by name."""
    return {p.name: p for p in folder.iterdir() if p.is_file() and p.name[0] != "."}


def hidden(folder: Path) -> list[str]:
    """What is left over."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob(".*"))


def digest(path: Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_whole(path: Path) -> bool:
    """Say whether a file can be read to its end."""
    from dials.array_family import flex

    content = path.read_bytes()
    if path.suffix in (".json", ".expt"):
        try:
            json.loads(content)
        except ValueError:
            return False
        return True
    if path.suffix == ".refl":
        try:
            return len(flex.reflection_table.from_msgpack_file(str(path))) > 0
        except RuntimeError:
            return False
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return all(len(np.atleast_1d(arrays[name])) >= 0 for name in arrays)
        except (OSError, ValueError, zipfile.BadZipFile):
            return False
    if path.suffix == ".html":
        return content.rstrip().endswith(b"</html>")
    return content.endswith(b"\n")


class Countdown:
    """
    A hook that tells its parent, or kills, at one of the changes of files in a folder.

    Args:
        folder: Its files count.
        at: Which change, from one; 0 for none.
        number: The signal that the process sends itself; None where the parent does it.
        pipe: Gets a byte when the change is due, or for each one where at is 0.
    """

    CHANGES = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link",
               "os.chmod", "shutil.rmtree", "tempfile.mkstemp", "tempfile.mkdtemp")  # fmt: skip

    def __init__(self, folder: Path, at: int, number: int | None, pipe: int):
        self.folder, self.at, self.number, self.pipe = str(folder), at, number, pipe
        self.count, self.pid, self.busy = 0, os.getpid(), False

    def __call__(self, event: str, args: tuple) -> None:
        """Called by Python before each event."""
        if event not in self.CHANGES or self.busy or os.getpid() != self.pid:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & 3):
            return
        path = os.fspath(args[0]) if isinstance(args[0], (str, os.PathLike)) else "."
        if path.startswith("/") and not path.startswith(self.folder):
            return
        self.busy = True
        self.count += 1
        if self.at in (0, self.count):
            os.write(self.pipe, b"x")
        if self.number is not None and self.at == self.count:
            if self.number == signal.SIGINT:
                os.killpg(self.pid, self.number)
            else:
                os.kill(self.pid, self.number)
        self.busy = False


def alive(session: int) -> list[int]:
    """Processes of a session, but those that are dead and not yet waited for."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            state, _, _, own = text.rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append(int(entry))
    return found


def wait_for_end(pid: int, patience: float = 600.0) -> tuple[int, float]:
    """The exit status, as shells give it, and the seconds until then."""
    start = time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        seconds = time.monotonic() - start
        if done:
            code = os.waitstatus_to_exitcode(status)
            return (128 - code if code < 0 else code), seconds
        if seconds > patience:
            os.kill(pid, signal.SIGKILL)
        time.sleep(1e-3)


class Trial:
    """One program, with old results in its folder."""

    def __init__(self, command: str, top: Path, rng: random.Random):
        self.command, self.rng = command, rng
        self.args, endings = PROGRAMS[command]
        self.folder, self.kept = top / command, top / f"{command}.old"
        self.folder.mkdir()
        times, self.changes = [], []
        for _ in range(2):
            start = time.monotonic()
            reader, writer = os.pipe()
            pid = fork_run(command, self.args, self.folder, (0, None, writer))
            os.close(writer)
            status, _ = wait_for_end(pid)
            times.append(time.monotonic() - start)
            self.changes.append(len(os.read(reader, 65536)))
            os.close(reader)
            if status:
                raise RuntimeError((top / "stderr.txt").read_text())
        self.until_anew, self.until = times
        found = sorted(p.suffix[1:] for p in outputs(self.folder).values())
        assert found == sorted(endings), found
        shutil.copytree(self.folder, self.kept)
        self.old = {name: digest(path) for name, path in outputs(self.kept).items()}
        self.top = top

    def restore(self) -> None:
        """Put the old results back; what is hidden stays."""
        for path in outputs(self.folder).values():
            path.unlink()
        for path in outputs(self.kept).values():
            # Their content is told apart from new content by a line at the end.
            shutil.copy2(path, self.folder)

    def once(self, number: int, counts: Counter, times: list[float]) -> None:
        """Start a run, end it by a signal, and count what is found."""
        self.restore()
        branches, until = self.folder / self.command, self.until
        changes = self.changes[1]
        if (self.kept / self.command).is_dir():
            shutil.rmtree(branches, ignore_errors=True)
            if self.rng.random() < ANEW:
                until, changes = self.until_anew, self.changes[0]
            else:
                shutil.copytree(self.kept / self.command, branches)
        inodes = {name: p.stat().st_ino for name, p in outputs(self.folder).items()}
        reader, writer = os.pipe()
        in_writing, at_once = (self.rng.random() < x for x in (IN_WRITING, 0.5))
        first = max(changes - LAST, 1) if self.rng.random() < AT_THE_END else 1
        at = self.rng.randint(first, changes) if in_writing else -1
        own = number if at_once and in_writing else None
        pid = fork_run(self.command, self.args, self.folder, (at, own, writer))
        os.close(writer)
        if in_writing:
            os.read(reader, 1)  # nothing where the run has ended
            time.sleep(0 if at_once else self.rng.uniform(0, LATER))
        else:
            time.sleep(self.rng.uniform(0.02, 1.0) * until)
        os.close(reader)
        if own is None:
            try:
                (os.killpg if number == signal.SIGINT else os.kill)(pid, number)
            except ProcessLookupError:
                pass
        status, seconds = wait_for_end(pid)
        lines = (self.top / "stderr.txt").read_text().strip().splitlines()
        self.judge(inodes, counts)
        if status == 0 and not lines:
            counts["ended before the signal"] += 1
        else:
            counts[f"status {status}"] += 1
            counts["no line" if not lines else "1 line" if len(lines) == 1 else
                   "more lines"] += 1  # fmt: skip
            times.append(seconds)
        self.look_for_children(pid, counts)

    def judge(self, inodes: dict[str, int], counts: Counter) -> None:
        """Say of what runs the files are."""
        now = outputs(self.folder)
        counts["signals"] += 1
        new = {name for name, p in now.items() if p.stat().st_ino != inodes.get(name)}
        counts["files gone"] += len(inodes.keys() - now.keys())
        counts["half files"] += sum(not is_whole(path) for path in now.values())
        counts["old files changed"] += sum(
            digest(now[name]) != self.old[name] for name in now.keys() - new
        )
        kind = "all old" if not new else "all new" if new == {*now} else "mixed"
        counts[kind] += 1
        counts["with hidden files"] += bool(hidden(self.folder))
        if kind == "mixed":
            counts["mixed after the next begins"] += not self.next_run_mends(inodes)

    def next_run_mends(self, inodes: dict[str, int]) -> bool:
        """Let the next run begin, and say whether all files are of one run then."""
        try:
            from dials_spread.staging import Stage
        except ImportError:
            return False
        Stage(str(self.folder)).remove()
        now = {name: p.stat().st_ino for name, p in outputs(self.folder).items()}
        return len({now[name] == inodes.get(name) for name in now}) == 1

    def look_for_children(self, session: int, counts: Counter) -> None:
        """Count processes that are alive after two seconds, and end them."""
        end = time.monotonic() + 2
        while alive(session) and time.monotonic() < end:
            time.sleep(0.02)
        left = alive(session)
        counts["runs with processes left"] += bool(left)
        for pid in left:
            os.kill(pid, signal.SIGKILL)

    def last(self) -> tuple[list[str], list[str]]:
        """Let a run end well; give the hidden files, and files that are not as before."""
        status, _ = wait_for_end(fork_run(self.command, self.args, self.folder))
        assert status == 0
        now = outputs(self.folder)
        compared = [name for name in self.old if Path(name).suffix in (".hkl", ".refl")]
        others = [name for name in compared if digest(now[name]) != self.old[name]]
        return hidden(self.folder), others


def make_input(top: Path, programs: list[str]) -> None:
    """Simulate crystals, and write a file of PETS2."""
    names = [f"output.experiments={top}/in.expt", f"output.reflections={top}/in.refl"]
    quiet = ["output.json=None", "output.log=None", "nproc=1"]
    pid = fork_run("simulate_ed", [*INPUT, *names, *quiet], top / "input")
    assert wait_for_end(pid)[0] == 0
    if "import_pets" in programs:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "pets"))
        made = importlib.import_module("conftest").Made(np.linspace(-40, 40, 81))
        (top / "a.cif_pets").write_text(made.text())


def main() -> None:
    """Try all programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--programs", nargs="*", default=["compare_images", "ml_correct",
                                                          "simulate_ed"])  # fmt: skip
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    used = {MODULES.get(name, name) for name in chosen.programs}
    for command in {*used, "simulate_ed"}:
        importlib.import_module(f"dials_spread.command_line.{command}")
    import dials_spread

    print(f"The code in {Path(dials_spread.__file__).parent}")
    # A shell lets programs in its background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng, results = random.Random(chosen.seed), {}
    with tempfile.TemporaryDirectory(prefix="kills-") as made:
        top = Path(made)
        (top / "input").mkdir()
        make_input(top, chosen.programs)
        for command in chosen.programs:
            trial = Trial(command, top, rng)
            print(f"{command}: {trial.until:.2f} s, {trial.changes} changes of files")
            for numbers, n in (
                ([signal.SIGKILL], chosen.kills),
                ([signal.SIGINT, signal.SIGTERM], chosen.signals),
            ):
                counts: Counter = Counter()
                times: list[float] = []
                for k in range(n):
                    trial.once(numbers[k % len(numbers)], counts, times)
                told = " and ".join(signal.Signals(number).name for number in numbers)
                left, others = trial.last()
                counts["hidden files after the next run"] = len(left)
                counts["other results of the next run"] = len(others)
                slowest = max(times, default=0.0)
                results[f"{command} {told}"] = {**counts, "slowest exit [s]": slowest}
                print(
                    f"  {told}: {dict(sorted(counts.items()))}, slowest {slowest:.2f} s"
                )
                for name in [*left, *others]:
                    print(f"    {name}")
                sys.stdout.flush()
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
