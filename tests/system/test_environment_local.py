"""Local packages, installed in all the ways there are, run in the version they were frozen in.

A small virtual environment has them installed; the driver below runs in it, as a scientist's notebook would.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from distributions import Site, make_package
from two_versions import WAYS

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]

HELPERS = {
    "beside": "my_lab/../beside.py",
    "named": "libs/named/named/__init__.py",
    "by_path": "libs/by_path/src/by_path/__init__.py",
    "by_hook": "libs/by_hook/code/__init__.py",
    "by_first_hook": "libs/by_first_hook/by_first_hook/__init__.py",
    "space.part": "space/part.py",
}
"""Where the module of each name is, below the repository."""

LAB = {
    "my_lab/__init__.py": "",
    "my_lab/work.py": """
import importlib, subprocess, sys
from multiprocessing import get_context
import beside, named, by_path, by_hook, by_first_hook, space.part

NAMES = ["beside", "named", "by_path", "by_hook", "by_first_hook", "space.part"]

def at_import():
    return {name: sys.modules[name].WORD for name in NAMES}

def again():
    for name in NAMES:
        del sys.modules[name]
    return {name: importlib.import_module(name).WORD for name in NAMES}

def in_subprocess():
    command = [sys.executable, "-m", "my_lab.show"]
    return dict(line.split() for line in subprocess.check_output(command, text=True).splitlines())

def in_spawned_process():
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(at_import)
""",
    "my_lab/show.py": "from my_lab.work import at_import\nfor item in at_import().items():\n    print(*item)\n",
}

DRIVER = """
import json, sys
from pathlib import Path
import hotswap

HELPERS, ASKED, WAYS = json.loads(sys.argv[2])
repo = Path(sys.argv[1])

def write(word):
    for path in HELPERS.values():
        (repo / path).write_text(f"WORD = {word!r}\\n")

store = hotswap.Store(repo.parent / "store")
told = {}
for way in WAYS:
    (repo / "my_lab" / "way.py").write_text(WAYS[way])
    frozen = {}
    for word in ("old", "new"):
        write(word)
        frozen[word] = store.freeze(hotswap.TreeSource(repo / "my_lab", extra=(repo / "libs/named/named",))).id
    write("live")
    with hotswap.open(frozen["old"], store.root) as old, hotswap.open(frozen["new"], store.root) as new:
        for version, word in ((old, "old"), (new, "new")):
            told.update({f"{way} {word} {point}": version.run(f"my_lab.work:{point}") for point in ASKED})
print(json.dumps(told))
"""

ASKED = ["at_import", "again", "in_subprocess", "in_spawned_process"]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local") / "repo"
    (folder / "my_lab").mkdir(parents=True)
    return make_package(folder, LAB | dict.fromkeys(HELPERS.values(), ""))


@pytest.fixture(scope="module")
def python(repo: Path) -> Path:
    """An interpreter that has hotswap and the local packages installed."""
    folder = repo.parent / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = Site(folder / "lib" / version / "site-packages")
    (site.folder / "runtime.pth").write_text(f"{sysconfig.get_path('purelib')}\n{REPOSITORY}\n")
    site.install_editable("by_path", repo / "libs" / "by_path", root=repo / "libs" / "by_path" / "src")
    site.install_with_finder("by_hook", repo / "libs" / "by_hook", {"by_hook": repo / "libs" / "by_hook" / "code"})
    first = repo / "libs" / "by_first_hook"
    site.install_with_finder("by_first_hook", first, {"by_first_hook": first / "by_first_hook"}, first=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def told(repo: Path, python: Path) -> dict[str, dict[str, str]]:
    """``WAY VERSION POINT`` -> the word that each local package has there."""
    command = [str(python), "-c", DRIVER, str(repo), json.dumps([HELPERS, ASKED, WAYS])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("point", ASKED)
@pytest.mark.parametrize("way", list(WAYS))
def test_each_version_has_its_own_local_packages(told: dict[str, dict[str, str]], way: str, point: str) -> None:
    new_interpreter = point in {"in_subprocess", "in_spawned_process"}
    for word in ("old", "new"):
        found = told[f"{way} {word} {point}"]
        if new_interpreter:  # Python runs hooks that put themselves first before anybody could put them in their place
            found = found | {"by_first_hook": word}
        assert found == dict.fromkeys(HELPERS, word)
