"""Constructs that reach the files of their own package: data, sources read as data, names, docstrings."""

from __future__ import annotations

from closure_constructs import Construct, tells

_ROOT = "Path(__file__).parents[__name__.count('.') + (Path(__file__).stem == '__init__')]"
_FOLDER = "'/'.join('{thing}'.split('.')[:-1])"
_FILE = "('data{i}' + '.txt')"
_XML = "<a>{n}</a>"
_PARSER = "import xml.etree.ElementTree as ET\n"
_PATHS = "from pathlib import Path\n"
_MODULE = "x = 1\n"


def _parsed(path: str, thing: str = "", tool: str = "", sibling: str = "") -> Construct:
    """The class reads an XML file, with a library that says nothing of files."""
    return Construct(
        tells(f"ET.parse({path}).getroot().text"), thing=_PARSER + thing, tool=tool, sibling=sibling, data=_XML
    )


def _listed(names: str, thing: str = _PATHS, tool: str = "") -> Construct:
    """The class tells the names of files, of which one is called differently after an edit."""
    return Construct(tells(f"sorted({names})"), thing=thing, tool=tool, file="new{i}_{n}.py", data=_MODULE)


PLACES = {
    "a folder of the tool": _parsed(
        f"place{{i}} / {_FOLDER} / {_FILE}",
        "from {tool} import place{i}\n",
        f"{_PATHS}place{{i}} = {_ROOT}\n",
    ),
    "a folder that the sibling passes on": _parsed(
        f"own{{i}} / {_FOLDER} / {_FILE}",
        "from {sibling} import own{i}\n",
        f"{_PATHS}place{{i}} = {_ROOT}\n",
        "from {tool} import place{i}\nown{i} = place{i}\n",
    ),
    "a folder of a class of the tool": _parsed(
        f"Config{{i}}.place / {_FOLDER} / {_FILE}",
        "from {tool} import Config{i}\n",
        f"{_PATHS}class Config{{i}}:\n    place = {_ROOT}\n",
    ),
    "a folder that a function tells": _parsed(
        f"place{{i}}() / {_FOLDER} / {_FILE}",
        "from {tool} import place{i}\n",
        f"{_PATHS}def place{{i}}():\n    return {_ROOT}\n",
    ),
    "a helper that takes a folder": _parsed(
        "inside{i}(Path(__file__).parent)",
        f"{_PATHS}from {{tool}} import inside{{i}}\n",
        f"def inside{{i}}(folder):\n    return folder / {_FILE}\n",
    ),
    "a helper that goes to another file": _parsed(
        "beside{i}(known{i})",
        f"{_PATHS}from {{tool}} import beside{{i}}\nknown{{i}} = Path(__file__).with_name('known.txt')\n",
        f"def beside{{i}}(path):\n    return path.parent / {_FILE}\n",
    ),
    "another suffix": _parsed(
        "Path(__file__).with_name('data{i}.old').with_suffix('.t' + 'xt')",
        _PATHS,
    ),
    "text made of a path": _parsed(
        "str(known{i}).replace('known', 'data{i}')",
        f"{_PATHS}known{{i}} = Path(__file__).with_name('known.txt')\n",
    ),
    "a helper that makes text of a path": _parsed(
        "beside{i}(known{i})",
        f"{_PATHS}from {{tool}} import beside{{i}}\nknown{{i}} = Path(__file__).with_name('known.txt')\n",
        "def beside{i}(path):\n    return str(path).replace('known', 'data{i}')\n",
    ),
    "the file of a class": _parsed(
        f"Path(inspect.getfile(type(self))).parent / {_FILE}",
        f"{_PATHS}import inspect\n",
    ),
    "a configuration of the tool's folder": Construct(
        tells(
            "told.get('a', 'v')",
            "told = configparser.ConfigParser()",
            f"told.read(place{{i}} / {_FOLDER} / {_FILE})",
        ),
        thing="import configparser\nfrom {tool} import place{i}\n",
        tool=f"{_PATHS}place{{i}} = {_ROOT}\n",
        data="[a]\nv = {n}\n",
    ),
}

SOURCES = {
    "its own source": Construct(tells("Path(__file__).read_bytes()"), thing=_PATHS + "# {n}\n"),
    "the source of the tool": Construct(
        tells("open(home{i}.__file__).read()"), thing="import {tool} as home{i}\n", tool="# {n}\n"
    ),
    "a source that a name tells": Construct(
        tells("Path(__file__).with_name('beside{i}.py').read_text()"),
        thing=_PATHS,
        file="beside{i}.py",
        data="# {n}\n",
    ),
    "a source beside its own": Construct(
        tells("open(__file__.rpartition('/')[0] + '/beside{i}' + '.py').read()"), file="beside{i}.py", data="# {n}\n"
    ),
    "a module found on the search path": Construct(
        tells("beside{i}.value"),
        thing="import sys\nfrom os.path import dirname\nsys.path.append(dirname(__file__))\nimport beside{i}\n",
        file="beside{i}.py",
        data="value = {n}\n",
    ),
}

NAMES = {
    "sources by a pattern": _listed("path.name for path in Path(__file__).parent.glob('*.py')"),
    "all in a folder": _listed("path.name for path in Path(__file__).parent.iterdir()"),
    "all in a folder, by the tool": _listed(
        "all{i}(Path(__file__).parent)",
        _PATHS + "from {tool} import all{i}\n",
        "def all{i}(folder):\n    return [path.name for path in folder.iterdir()]\n",
    ),
    "all in a folder, by another name": _listed(
        "names{i}(os.path.dirname(__file__))", "import os\nfrom os import listdir as names{i}\n"
    ),
    "all in a folder, by a library": _listed(
        "filecmp.dircmp(os.path.dirname(__file__), '/').left_list", "import filecmp\nimport os\n"
    ),
    "modules in a folder": _listed(
        "found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)])", _PATHS + "import pkgutil\n"
    ),
    "what a package has": _listed("hasattr(package, 'new{i}_2') for package in (q, q.sub)", "import q\nimport q.sub\n"),
    "a folder that a name tells": Construct(
        tells("os.listdir(os.path.join(os.path.dirname(__file__), 'folder{i}'))"),
        thing="import os\n",
        file="folder{i}/a{n}.txt",
        data="x",
    ),
}

TEXTS = {
    "a docstring among all of a class": Construct(
        tells("sorted(map(str, vars(Note{i}).values()))"),
        thing="from {tool} import Note{i}\n",
        tool="class Note{i}:\n    '''Note {n}.'''\n",
    ),
    "a docstring among members": Construct(
        tells("[value for name, value in inspect.getmembers(Note{i}) if name.endswith('doc__')]"),
        thing="import inspect\nfrom {tool} import Note{i}\n",
        tool="class Note{i}:\n    '''Note {n}.'''\n",
    ),
    "its own TYPE_CHECKING": Construct(
        tells("value{i}"),
        thing="TYPE_CHECKING = True\nif TYPE_CHECKING:\n    from {tool} import value{i}\n",
        tool="value{i} = {n}\n",
    ),
    "the TYPE_CHECKING of the tool": Construct(
        tells("value{i}"),
        thing="import {tool} as typing\nif typing.TYPE_CHECKING:\n    from {tool} import value{i}\n",
        tool="TYPE_CHECKING = True\nvalue{i} = {n}\n",
    ),
}

FILES = PLACES | SOURCES | NAMES | TEXTS
