"""Package metadata; the settings of the tools are in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

import setuptools
from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """Read the version without importing the package, which may lack its needs."""
    text = (HERE / "dials_spread" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE).group(1)


def long_description() -> str:
    """The README, where there is one (a libtbx build may copy only the package)."""
    readme = HERE / "README.rst"
    return readme.read_text(encoding="utf-8") if readme.is_file() else ""


# DIALS is not on PyPI, so it cannot be named here. Nor are there version pins: DIALS
# comes with the versions that its compiled modules were built for (Debian's need
# numpy 1), and pip must never be given a reason to put newer ones over them.
REQUIRES = [
    "numpy",
    "scipy",
    "numba",
    "jinja2",
    "markupsafe",
    "tqdm",
    "tabulate",
    "matplotlib",
    "pillow",
    "threadpoolctl",
    # Model files.
    "safetensors",
    # Training of models; they are applied without it.
    "scikit-learn",
]

# As an expression (PEP 639) where setuptools knows it, which then refuses the classifier.
if int(setuptools.__version__.split(".")[0]) >= 77:
    LICENCE = {"license_expression": "BSD-3-Clause"}
    LICENCE_CLASSIFIERS = []
else:  # that of Debian 12
    LICENCE = {"license": "BSD-3-Clause"}
    LICENCE_CLASSIFIERS = ["License :: OSI Approved :: BSD License"]

setup(
    name="dials_spread",
    version=version(),
    description="How far do the intensities of one reflection spread between crystals "
    "and orientations, and what can be done about it: a DIALS plug-in",
    long_description=long_description(),
    long_description_content_type="text/x-rst",
    author="dials_spread developers",
    **LICENCE,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        *LICENCE_CLASSIFIERS,
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Physics",
    ],
    packages=find_packages(include=["dials_spread", "dials_spread.*"]),
    package_data={
        "dials_spread": [
            "report/page/templates/*",
            "report/page/static/*",
            "correction/model/models/*",
            "structures/data/*.cif",
            "phil/*/*.phil",
        ]
    },
    zip_safe=False,
    python_requires=">=3.9",
    install_requires=REQUIRES,
    extras_require={
        "test": [
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            # Later ones do not know Python 3.9.
            "mypy>=1.11,<1.19",
            "distributed",
            # Another reader of what is written (MPL-2.0; it needs nothing itself).
            "gemmi",
        ],
        # Simulations on a cluster.
        "dask": ["distributed"],
        # Checks against abTEM; on Debian, in an environment of its own with
        # abtem==1.0.9, numpy<2 and numba>=0.59,<0.62 (docs/studies/simulation_convergence.rst).
        # Bloch waves of abTEM 1.0.9 fail with pandas 3 (findings/abtem_pandas3.sh).
        "abtem": ["abtem", "ase", "pandas<3"],
        # Training of the network of the general model; using it needs numpy alone.
        "network": ["torch"],
        # SHAP values of dials.ml_correct.
        "shap": ["shap"],
        "docs": ["sphinx", "sphinx-rtd-theme"],
    },
    entry_points={
        "console_scripts": [
            "dials.compare_images=dials_spread.entry_points:compare_images",
            "dials.compare_placement=dials_spread.entry_points:compare_placement",
            "dials.import_pets=dials_spread.entry_points:import_pets",
            "dials.ml_correct=dials_spread.entry_points:ml_correct",
            "dials.simulate_ed=dials_spread.entry_points:simulate_ed",
            "xia2.multiplex_corrected=dials_spread.entry_points:multiplex_corrected",
        ],
    },
)
