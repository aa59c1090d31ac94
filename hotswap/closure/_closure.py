"""The digest of the code behind a class."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hotswap.closure._data import named_files
from hotswap.closure._facts import Detail, Facts
from hotswap.closure._graph import Graph, libraries
from hotswap.closure._memo import facts_of
from hotswap.closure._parse import digest
from hotswap.closure._plan import Plan, Planner, Scheme
from hotswap.closure._tree import Modules, covering, module_name


@dataclass(frozen=True)
class Verdict:
    """What decides how a class behaves, as far as its source tells.

    ``digest`` (blake3, hex) changes whenever that may behave differently. ``scheme`` says how closely it looks:
    ``reachable`` are the modules and data files the class uses, ``imports`` everything that importing it imports,
    ``package`` the whole tree; ``why`` gives the reasons for not looking more closely. ``files`` are the paths
    covered, ``imports`` the top-level names of the libraries they use.
    """

    digest: str
    scheme: Scheme
    why: tuple[str, ...]
    files: tuple[str, ...]
    imports: tuple[str, ...]


class Closure:
    """What code the classes of one frozen tree depend on, told without running it.

    ``files`` maps each path below ``tree`` (``my_lab/devices/furnace.py``) to the blake3 of its content, hex.
    ``registration`` holds full names of functions that only record what they are given (``lab.add_device``): calls
    of these say nothing about a class, and their arguments must be hashed by the caller. Modules are remembered by
    content across instances, also in the folder ``cache`` when one is given. Not for several threads at once.
    """

    def __init__(
        self,
        tree: Path,
        files: Mapping[str, str],
        *,
        registration: frozenset[str] = frozenset(),
        cache: Path | None = None,
    ) -> None:
        self._tree = tree
        self._files = dict(files)
        self._registration = registration
        self._cache = cache
        self._modules = Modules(files, self._load)
        self._planner = Planner(Graph(self._modules))
        self._data = {path: known for path, known in files.items() if module_name(path) is None}

    def verdict(self, class_name: str, roots: Iterable[str] = ()) -> Verdict:
        """The verdict on ``module:Class``; ``roots`` are the classes of objects that will be given to it.

        A class from outside the tree depends on its library only.
        """
        names = sorted({class_name, *roots})
        inside = [name for name in names if name.partition(":")[0] in self._modules]
        start = frozenset(name.partition(":")[0] for name in inside)
        plan = self._planner.plan(start, inside) if inside else Plan("reachable")
        outside = libraries(name.partition(":")[0] for name in set(names) - set(inside))
        return self._verdict(plan, [class_name, *names], outside)

    def _load(self, path: str) -> Facts:
        return facts_of(self._files[path], (self._tree / path).read_bytes, self._registration, self._cache)

    def _digest(self, plan: Plan, names: list[str], data: set[str]) -> str:
        facts = [(name, self._modules.facts(name)) for name in sorted(plan.modules & set(self._modules.paths))]
        detail = max((each.detail for _, each in facts), default=Detail.CODE)
        parts = {
            "names": names,
            "scheme": plan.scheme,
            "modules": [(name, each.digests[detail]) for name, each in facts],
            "links": sorted(plan.links),
            "statements": plan.statements,
            "order": plan.order,
            "data": [(path, self._files[path]) for path in sorted(data)],
        }
        return digest(json.dumps(parts))

    def _verdict(self, plan: Plan, names: list[str], outside: frozenset[str]) -> Verdict:
        data = self._data_of(plan)
        libraries_used = outside | plan.external
        return Verdict(
            digest=self._digest(plan, names, data),
            scheme=plan.scheme,
            why=plan.why,
            files=tuple(sorted({*covering(self._modules.paths, plan.modules), *data})),
            imports=tuple(sorted(libraries_used)),
        )

    def _data_of(self, plan: Plan) -> set[str]:
        facts = [self._modules.facts(name) for name in plan.modules]
        if plan.scheme == "package" or any(each.opens_unknown for each in facts):
            return set(self._data)
        strings = frozenset[str]().union(*(each.strings for each in facts), plan.strings)
        return named_files(strings, self._data)
