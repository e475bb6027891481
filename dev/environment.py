"""Questions that dev/bootstrap asks of one Python; standard library only.

Run as ``<python> dev/environment.py <question> [arguments]``. It answers with its exit
status and one line on stdout, and runs with every Python that might be on PATH.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "dials_spread"
# In the environment, so that it goes when the environment goes.
STAMPS = Path(sys.prefix) / "share" / NAME
# What decides whether an earlier installation still fits the checkout.
INPUTS = ("setup.py", "pyproject.toml", "environment.yml", "dev/environment.py")
# Distributions whose module has another name.
MODULES = {
    "pillow": "PIL",
    "pytest-xdist": "xdist",
    "scikit-learn": "sklearn",
    "sphinx-rtd-theme": "sphinx_rtd_theme",
}
# An older setuptools cannot make an editable installation from a setup.py.
OLDEST_SETUPTOOLS = 64


def probe() -> str:
    """This Python's path, if DIALS works in it (ImportError and worse, if not)."""
    import cctbx  # noqa: F401  (fails first where libtbx does not find its environment)
    import dials  # noqa: F401

    return sys.executable


def installable() -> str:
    """Whether pip may install into this Python: `yes`, or the reason why not."""
    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if sys.prefix == sys.base_prefix and marker.is_file():
        return "it belongs to the operating system"
    for folder in (sysconfig.get_path("purelib"), sysconfig.get_path("scripts")):
        if not os.access(folder, os.W_OK):
            return f"no permission to write in {folder}"
    if importlib.util.find_spec("pip") is None:
        return "it has no pip"
    return "yes"


def scripts() -> str:
    """The folder in which pip puts the commands."""
    return sysconfig.get_path("scripts")


def builds() -> str:
    """`yes` if the plug-in can be built without downloading setuptools."""
    try:
        release = int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return "no"
    # From 70.1 on setuptools makes wheels itself.
    has_wheel = release > 70 or importlib.util.find_spec("wheel") is not None
    return "yes" if release >= OLDEST_SETUPTOOLS and has_wheel else "no"


def link_libtbx() -> str:
    """Link libtbx's environment into this virtual environment, where it looks for it.

    libtbx looks below `sys.prefix`, and a virtual environment has its own; without the
    link `import cctbx` fails unless LIBTBX_BUILD is set by hand.
    """
    if sys.prefix == sys.base_prefix:
        return "not a virtual environment"
    python = "python{}.{}".format(*sys.version_info[:2])
    folders = (Path("lib/cctbx") / python, Path("share/cctbx"))
    for folder in folders:
        if (Path(sys.prefix) / folder / "libtbx_env").is_file():
            return "there"
    for folder in folders:
        target = Path(sys.base_prefix) / folder
        if (target / "libtbx_env").is_file():
            return _link(Path(sys.prefix) / folder, target)
    target = _packaged_libtbx_env()
    if target is None:
        return "no libtbx_env found"
    return _link(Path(sys.prefix) / folders[0], target)


def _link(link: Path, target: Path) -> str:
    """Make the link, also over one that points to a Python that is gone."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target, target_is_directory=True)
    return "linked"


def _packaged_libtbx_env() -> Path | None:
    """The folder with libtbx_env according to Debian's list of installed files."""
    command = ["dpkg", "-L", "libcctbx0", "python3-cctbx"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True).stdout
    except OSError:
        return None
    for line in listed.splitlines():
        if line.endswith("/libtbx_env") and Path(line).is_file():
            return Path(line).parent
    return None


def constraints() -> str:
    """pip constraints that hold every distribution of this Python where it is."""
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement

    held: dict[str, str] = {}
    for dist in importlib.metadata.distributions():
        name = dist.metadata["Name"]
        line = f"{name}=={dist.version}"
        try:
            Requirement(line)
        except InvalidRequirement:  # of Debian's, some have names that pip refuses
            continue
        # In a virtual environment its own distributions come first, and count. llvmlite
        # is numba's alone and has to fit the numba that is chosen. typing_extensions
        # only adds from release to release, and Debian's is too old for mypy.
        if name.replace("-", "_") not in (NAME, "llvmlite", "typing_extensions"):
            held.setdefault(name, line)
    if "numba" not in held and "numpy==1." in held.get("numpy", ""):
        # Newer ones expect the other packages (coverage) to be of numpy 2's age too.
        held["numba"] = "numba<0.62"
    return "\n".join(held.values())


def missing(*extras: str) -> str:
    """The plug-in's requirements, with these extras, that this Python lacks."""
    requires = importlib.metadata.requires(NAME) or []
    wanted = [
        line.split(";")[0].replace(" ", "")
        for line in requires
        if "extra ==" not in line
        or any(f"extra == {quote}{e}{quote}" in line for e in extras for quote in "'\"")
    ]
    return " ".join(name for name in wanted if not _has(name))


def _has(requirement: str) -> bool:
    """Whether a distribution is there, by its metadata or else by its module."""
    distribution = re.match(r"[\w.-]+", requirement).group()
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        module = MODULES.get(distribution, distribution)
        return importlib.util.find_spec(module) is not None
    return True


def check() -> str:
    """Import DIALS and what the plug-in needs; numpy 2 over Debian's fails here."""
    for module in ("cctbx", "dials.array_family.flex", "dxtbx.model", NAME):
        importlib.import_module(module)
    for requirement in importlib.metadata.requires(NAME) or []:
        if "extra ==" not in requirement:
            distribution = re.match(r"[\w.-]+", requirement).group()
            importlib.import_module(MODULES.get(distribution, distribution))
    return "yes"


def _stamp() -> str:
    """What an installation of this checkout, as it is now, was made from."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def ready(*extras: str) -> str:
    """`yes` if DIALS works here and this checkout is installed, with these extras."""
    probe()
    importlib.metadata.version(NAME)
    for path in STAMPS.glob("installed*"):
        if {*extras} <= {*path.name.split("-")} and path.read_text() == _stamp():
            return "yes"
    return "no"


def done(*extras: str) -> str:
    """Record that this checkout is installed, with these extras."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    path = STAMPS / "-".join(["installed", *extras])
    path.write_text(_stamp())
    return str(path)


QUESTIONS = {
    function.__name__: function
    for function in (
        *(probe, installable, scripts, builds, link_libtbx),
        *(constraints, missing, check, ready, done),
    )
}

if __name__ == "__main__":
    # The folder of a script is on sys.path, and dev/ is no place for modules.
    sys.path[:] = [path for path in sys.path if Path(path) != ROOT / "dev"]
    print(QUESTIONS[sys.argv[1]](*sys.argv[2:]))
