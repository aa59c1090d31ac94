"""What counts as the environment of a snapshot."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hotswap.environment import Distribution, Environment, fingerprint, imported_names, python_tag

Install = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed distributions, on the path of this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def install(site: Path) -> Install:
    """Install a distribution that provides one module of its own name, unless told otherwise."""

    def do(
        name: str,
        version: str = "1.0",
        requires: tuple[str, ...] = (),
        files: tuple[str, ...] | None = None,
        url: dict[str, object] | None = None,
    ) -> None:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
        (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        recorded = files if files is not None else (f"{name.replace('-', '_')}/__init__.py",)
        for file in recorded:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).touch()
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in recorded))
        if url is not None:
            (info / "direct_url.json").write_text(json.dumps(url))

    return do


def versions(environment: Environment) -> dict[str, str]:
    return {one.name: one.version for one in environment.distributions}


def test_the_imported_and_what_it_requires_count(install: Install) -> None:
    install("front", requires=("middle-man",))
    install("Middle_Man", requires=("back",))
    install("back", "2.5")
    install("stranger")
    assert versions(fingerprint(["front"])) == {"front": "1.0", "middle-man": "1.0", "back": "2.5"}


def test_markers_and_extras_are_followed(install: Install) -> None:
    install("front", requires=("plain[fast]", 'windows-only; sys_platform == "win32"'))
    install("plain", requires=('fast-one; extra == "fast"', 'slow-one; extra == "slow"'))
    for name in ("fast-one", "slow-one", "windows-only"):
        install(name)
    assert versions(fingerprint(["front"])).keys() == {"front", "plain", "fast-one"}


def test_requirements_in_a_circle_end(install: Install) -> None:
    install("chicken", requires=("egg",))
    install("egg", requires=("chicken",))
    assert versions(fingerprint(["egg"])).keys() == {"chicken", "egg"}


def test_requirements_that_are_missing_or_unreadable_do_not_count(install: Install) -> None:
    install("front", requires=("nowhere", "!!"))
    assert versions(fingerprint(["front"])).keys() == {"front"}


def test_the_standard_library_and_unknown_modules_do_not_count() -> None:
    assert fingerprint(["json", "asyncio", "no_such_module_anywhere"]).distributions == ()


def test_all_who_share_a_namespace_count(install: Install) -> None:
    install("cloud-a", files=("cloud/a.py",))
    install("cloud-b", files=("cloud/b.py",))
    assert versions(fingerprint(["cloud"])).keys() == {"cloud-a", "cloud-b"}


def test_an_installation_is_noticed_at_once(install: Install) -> None:
    assert fingerprint(["newcomer"]).distributions == ()
    install("newcomer")
    assert versions(fingerprint(["newcomer"])) == {"newcomer": "1.0"}


def make_project(folder: Path, content: str = "x = 1\n") -> Path:
    package = folder / "mine"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text(content)
    (package / "data" / "table.csv").write_text("1,2\n")
    return folder


def install_editable(install: Install, site: Path, project: Path) -> None:
    (site / "mine.pth").write_text(f"{project}\n")
    url = {"url": project.as_uri(), "dir_info": {"editable": True}}
    install("mine", files=("mine.pth",), url=url)


def local_digest(name: str = "mine") -> str:
    (found,) = fingerprint([name]).distributions
    assert found.digest is not None
    return found.digest


@pytest.fixture
def project(tmp_path: Path, site: Path, install: Install) -> Path:
    """A project with the package ``mine``, installed editable."""
    folder = make_project(tmp_path / "project")
    install_editable(install, site, folder)
    return folder


def test_an_editable_distribution_is_known_by_its_content(project: Path) -> None:
    before = local_digest()
    (project / "mine" / "data" / "table.csv").write_text("3,4\n")
    assert local_digest() != before


def test_byte_code_and_hidden_files_are_not_its_content(project: Path) -> None:
    before = local_digest()
    (project / "mine" / "__pycache__").mkdir()
    (project / "mine" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (project / "mine" / ".swap").touch()
    (project / "README").touch()
    assert local_digest() == before


def test_the_place_of_an_editable_distribution_does_not_matter(
    project: Path, tmp_path: Path, site: Path, install: Install
) -> None:
    here = local_digest()
    other = make_project(tmp_path / "clone")
    info = site / "mine-1.0.dist-info" / "direct_url.json"
    info.write_text(json.dumps({"url": other.as_uri(), "dir_info": {"editable": True}}))
    (site / "mine.pth").write_text(f"{other}\n")
    os.utime(site, ns=(1, 1))
    assert local_digest() == here
    (other / "mine" / "__init__.py").write_text("x = 2\n")
    assert local_digest() != here


def test_only_the_packages_that_a_hatch_project_declares_count(project: Path, site: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.hatch.build.targets.wheel]\npackages = ["mine"]\n')
    (project / "tests").mkdir()
    (project / "tests" / "__init__.py").touch()
    os.utime(site, ns=(1, 1))
    before = local_digest()
    (project / "tests" / "__init__.py").write_text("x")
    assert local_digest() == before
    assert fingerprint(["tests"]).distributions == ()


def test_an_editable_distribution_in_a_src_folder_is_found(tmp_path: Path, site: Path, install: Install) -> None:
    make_project(tmp_path / "project" / "src")
    url = {"url": (tmp_path / "project").as_uri(), "dir_info": {"editable": True}}
    install("mine", files=("__editable___mine_finder.py",), url=url)
    assert local_digest() != ""


def test_a_path_install_is_known_by_its_copy(site: Path, install: Install) -> None:
    install("copied", files=("copied/__init__.py",), url={"url": "file:///elsewhere", "dir_info": {}})
    before = local_digest("copied")
    (site / "copied" / "__init__.py").write_text("x = 1\n")
    assert local_digest("copied") != before


def test_this_very_project_is_found() -> None:
    assert "hotswap-lab" in versions(fingerprint(["hotswap"]))


def test_an_environment_survives_plain_data() -> None:
    environment = Environment("cp311", (Distribution("a", "1"), Distribution("b", "2", "ff")))
    assert Environment.from_dict(json.loads(json.dumps(environment.to_dict()))) == environment


def test_each_fact_of_an_environment_counts() -> None:
    some = [
        Environment("cp311", (Distribution("a", "1"),)),
        Environment("cp312", (Distribution("a", "1"),)),
        Environment("cp311", (Distribution("a", "2"),)),
        Environment("cp311", (Distribution("a", "1", "ff"),)),
        Environment("cp311"),
    ]
    assert len({one.digest for one in some}) == len(some)


def test_the_python_is_told_by_its_tag() -> None:
    assert fingerprint([]).python == python_tag()


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import numpy.linalg as la, scipy", {"numpy", "scipy"}),
        ("from pydantic.fields import Field", {"pydantic"}),
        ("from . import helpers\nfrom .devices import Furnace", set()),
        ("def f():\n    import lazy", {"lazy"}),
        ("try:\n    import fast\nexcept ImportError:\n    import slow", {"fast", "slow"}),
        ('importlib.import_module("plug.in")', {"plug"}),
        ('__import__("dunder")', {"dunder"}),
        ("import_module(name)", set()),
    ],
)
def test_absolute_imports_are_found_wherever_they_are(code: str, names: set[str]) -> None:
    assert imported_names(ast.parse(code)) == names
