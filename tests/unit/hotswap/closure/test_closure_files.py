"""Files of the package that code reads, and what it reads of its own text, where no generated package tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from hotswap.closure import Verdict

Judge = Callable[[Mapping[str, str]], Verdict]

HERE = "from pathlib import Path\nHERE = Path(__file__).parent\n"
MODEL = "from pydantic import BaseModel\nclass Model(BaseModel):\n    '''Note @@.'''\n"
ASKS = "from importlib.metadata import version\nclass Dev:\n    def run(self): return version('our-lab')\n"
LOADS = "import ctypes\nfrom .tool import HERE\nclass Dev:\n    def run(self): return ctypes.CDLL(str(HERE / {}))\n"

COUNTS = {
    "a native module beside a source": {
        "dev.py": "from .fast import rate\nclass Dev:\n    def run(self): return rate\n",
        "fast.py": "rate = 1\n",
        "fast.cpython-311-x86_64-linux-gnu.so": "@@",
    },
    "a source beside a native module": {
        "dev.py": "from .fast import rate\nclass Dev:\n    def run(self): return rate\n",
        "fast.py": "rate = @@\n",
        "fast.so": "",
    },
    "a native library by its name": {"dev.py": LOADS.format("'libpump.so'"), "tool.py": HERE, "libpump.so": "@@"},
    "a native library by a computed name": {"dev.py": LOADS.format("name()"), "tool.py": HERE, "libpump.so": "@@"},
    "a database": {
        "dev.py": "import sqlite3\nfrom .tool import HERE\nclass Dev:\n    table = 'a'\n"
        "    def run(self): return sqlite3.connect(HERE / f'{self.table}.db')\n",
        "tool.py": HERE,
        "a.db": "@@",
    },
    "a program that is started": {
        "dev.py": "import subprocess\nfrom .tool import HERE\nclass Dev:\n"
        "    def run(self): return subprocess.run(['./' + 'convert'], cwd=HERE, check=True)\n",
        "tool.py": HERE,
        "convert": "@@",
    },
    "what a script imports": {
        "dev.py": "import subprocess, sys\nfrom pathlib import Path\nclass Dev:\n"
        "    def run(self): return subprocess.run([sys.executable, Path(__file__).with_name('job.py')], check=True)\n",
        "job.py": "import beside\nprint(beside.rate)\n",
        "beside.py": "rate = @@\n",
    },
    "a module that is run by its name": {
        "dev.py": "import os, subprocess, sys\nclass Dev:\n    def run(self):\n"
        "        run = [sys.executable, '-m', 'job']\n"
        "        return subprocess.run(run, cwd=os.path.dirname(__file__), check=True)\n",
        "job.py": "print(@@)\n",
    },
    "text that another Python runs": {
        "dev.py": "import subprocess, sys\nclass Dev:\n    def run(self):\n"
        "        return subprocess.run([sys.executable, '-c', 'from p.job import rate'], check=True)\n",
        "job.py": "rate = @@\n",
    },
    "the version of the lab": {
        "dev.py": ASKS,
        "../our_lab-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: our-lab\nVersion: 1.@@\n",
    },
    "the docstring of a model": {"dev.py": MODEL + "class Dev:\n    model = Model\n"},
    "the docstring of a model in a class": {
        "dev.py": "from .base import Base\nclass Dev:\n    class Model(Base):\n        '''Note @@.'''\n",
        "base.py": "from .model import Model as Base\n",
        "model.py": MODEL.replace("@@", ""),
    },
    "the docstring of a command": {
        "dev.py": "import click\nfrom .job import job\nclass Dev:\n    command = click.command()(job)\n",
        "job.py": "def job():\n    '''Note @@.'''\n",
    },
    "the docstring of a dataclass in a schema": {
        "dev.py": "from pydantic import TypeAdapter\nfrom .data import Data\nclass Dev:\n"
        "    def run(self): return TypeAdapter(Data).json_schema()\n",
        "data.py": "import dataclasses\n@dataclasses.dataclass\nclass Data:\n    '''Note @@.'''\n",
    },
}

CLOSE = {
    "a file of the tool's folder by a constant": {
        "dev.py": "import json\nfrom .tool import HERE\nCAL = HERE / 'cal.json'\nclass Dev:\n"
        "    def run(self): return json.loads(CAL.read_text())\n",
        "tool.py": HERE,
        "other.json": "@@",
    },
    "a file by a constant in a folder of the tool's module": {
        "dev.py": "from . import tool\nclass Dev:\n    def run(self): return open(tool.HERE.parent / 'p' / 'a.csv')\n",
        "tool.py": HERE,
        "b.csv": "@@",
    },
    "a resource by a constant": {
        "dev.py": "from importlib import resources\nclass Dev:\n"
        "    def run(self): return (resources.files('p') / 'a.csv').read_text()\n",
        "b.csv": "@@",
    },
    "a comment of a source whose folder is listed by a pattern": {
        "dev.py": HERE + "class Dev:\n    def run(self): return [p.name for p in HERE.glob('*.csv')]\n# @@\n",
    },
    "a message with a path": {
        "dev.py": HERE + "CAL = HERE / 'a.csv'\nclass Dev:\n    def run(self): raise ValueError(f'{CAL} is bad')\n",
        "b.csv": "@@",
    },
    "the version of the lab, of which nobody asks": {
        "dev.py": HERE + "class Dev:\n    def run(self): return (HERE / 'a.csv').read_text()\n",
        "../our_lab-1.0.dist-info/METADATA": "Version: 1.@@\n",
    },
    "a stub": {
        "dev.py": HERE + "class Dev:\n    def run(self, name): return (HERE / f'{name}.csv').read_text()\n",
        "dev.pyi": "class Dev:\n    def run@@(self) -> str: ...\n",
    },
    "a docstring beside a module with models": {
        "dev.py": "from .model import Model\nclass Dev:\n    '''Note @@.'''\n    model = Model\n",
        "model.py": MODEL.replace("@@", ""),
    },
    "an import for type checkers": {
        "dev.py": "import typing\nif typing.TYPE_CHECKING:\n    from .a import x@@\nclass Dev:\n    pass\n",
        "a.py": "x1 = x2 = @@\n",
    },
}


def _digests(judge: Judge, files: Mapping[str, str]) -> list[Verdict]:
    return [judge({path: text.replace("@@", number) for path, text in files.items()}) for number in "12"]


@pytest.mark.parametrize("name", COUNTS)
def test_what_is_read_counts(judge: Judge, name: str) -> None:
    before, after = _digests(judge, COUNTS[name])
    assert before.digest != after.digest, before.why


@pytest.mark.parametrize("name", CLOSE)
def test_what_is_not_read_does_not_count(judge: Judge, name: str) -> None:
    before, after = _digests(judge, CLOSE[name])
    assert (before.scheme, before.digest) == ("reachable", after.digest), before.why


def test_the_names_of_modules_count_without_their_text(judge: Judge) -> None:
    lists = (
        "import pkgutil\nimport p.sub.a\nclass Dev:\n    def run(self): return list(pkgutil.iter_modules(['p/sub']))\n"
    )
    files = {"dev.py": lists, "sub/__init__.py": "", "sub/a.py": ""}
    first, edited, added = (judge(files | more) for more in ({}, {"sub/a.py": "# note\n"}, {"sub/b.py": ""}))
    assert first.digest == edited.digest
    assert first.digest != added.digest


def test_a_file_that_is_read_as_data_is_told(judge: Judge) -> None:
    found = judge({"dev.py": HERE + "class Dev:\n    def run(self): return (HERE / 'b.py').read_text()\n", "b.py": ""})
    assert found.files == ("p/b.py", "p/dev.py")


def test_a_package_that_appears_counts(judge: Judge) -> None:
    files = {"dev.py": "try:\n    import p.extra\nexcept ImportError:\n    pass\nclass Dev:\n    pass\n"}
    assert judge(files).digest != judge(files | {"extra/__init__.py": ""}).digest
