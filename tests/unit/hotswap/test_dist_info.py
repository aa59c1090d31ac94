"""The metadata that a frozen package answers with are those its project states."""

from __future__ import annotations

from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from hotswap.errors import SourceError
from hotswap.source._dist_info import dist_info

PROJECT = b"""
[project]
name = "My.Lab"
version = "1.2.0-rc1"
requires-python = ">=3.11"
dependencies = ["numpy>=2", "pyserial ; sys_platform == 'linux'"]
scripts = { my-lab = "my_lab.cli:main" }

[project.optional-dependencies]
Plots = ["matplotlib[all]>=3 ; python_version >= '3.11'"]

[project.entry-points."my_lab.analyses"]
peaks = "my_lab.peaks:find"
"""


def found(folder: Path, pyproject: bytes) -> Distribution:
    for path, content in dist_info(pyproject, ["my_lab", "extra"], "pyproject.toml").items():
        file = folder / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    (one,) = distributions(path=[str(folder)])
    return one


def test_name_version_and_requirements_are_told(tmp_path: Path) -> None:
    one = found(tmp_path, PROJECT)
    assert (one.metadata["Name"], one.version) == ("My.Lab", "1.2.0rc1")
    assert one.metadata["Requires-Python"] == ">=3.11"
    assert one.requires == [
        "numpy>=2",
        'pyserial; sys_platform == "linux"',
        "matplotlib[all]>=3 ; (python_version >= \"3.11\") and extra == 'plots'",
    ]
    assert one.read_text("top_level.txt") == "extra\nmy_lab\n"


def test_entry_points_are_found(tmp_path: Path) -> None:
    entries = found(tmp_path, PROJECT).entry_points
    assert {(one.group, one.name, one.value) for one in entries} == {
        ("console_scripts", "my-lab", "my_lab.cli:main"),
        ("my_lab.analyses", "peaks", "my_lab.peaks:find"),
    }


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[tool.pytest.ini_options]\ntestpaths = ['tests']\n",
        b"[project]\nname = 'my-lab'\ndynamic = ['version']\n",
    ],
)
def test_a_project_that_does_not_state_its_version_has_none(text: bytes) -> None:
    assert dist_info(text, ["my_lab"], "pyproject.toml") == {}


@pytest.mark.parametrize(
    "text",
    [
        b"[project\n",
        b"\xff",
        b"project = 'my-lab'",
        b"[project]\nname = 'my-lab'\nversion = 'newest'\n",
        b"[project]\nname = 'my-lab'\nversion = 1.2\n",
        b"[project]\nname = 'my-lab'\nversion = '1'\ndependencies = ['>>> 1']\n",
        b"[project]\nname = 'my-lab'\nversion = '1'\ndependencies = 7\n",
        b"[project]\nname = 'my-lab'\nversion = '1'\nrequires-python = \"a\\nVersion: 2\"\n",
        b"[project]\nname = 'my-lab'\nversion = '1'\nentry-points = 'x'\n",
    ],
)
def test_a_project_that_cannot_be_read_is_refused_by_name(text: bytes) -> None:
    with pytest.raises(SourceError, match=r"^some/pyproject\.toml cannot be read \(.*\): correct it"):
        dist_info(text, ["my_lab"], "some/pyproject.toml")
