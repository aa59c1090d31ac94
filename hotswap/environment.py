"""The environment of a snapshot: the installed distributions that its code depends on.

What counts are the distributions that provide the imported modules and, transitively, their requirements; not
everything that happens to be installed. Where a version does not tell the content - a distribution installed from a
local folder, or from a repository - a digest stands beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hotswap._installed import RUNTIME, installed
from hotswap.digest import Json, hash_json

_NOT_INSTALLED = sys.stdlib_module_names | {"__main__"}


@dataclass(frozen=True, slots=True, order=True)
class Distribution:
    """An installed distribution; ``digest`` is that of its content, or its commit, where the version does not tell."""

    name: str
    version: str
    digest: str | None = None

    def __str__(self) -> str:
        """The version, and the start of the digest."""
        return f"{self.version} ({self.digest[:12]})" if self.digest else self.version


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """A distribution, or ``python``, that differs between two environments; None where it is absent.

    A distribution with a digest tells the start of it beside the version.
    """

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """``pydantic 2.11 -> 2.12``."""
        return f"{self.name} {self.before or 'absent'} -> {self.after or 'absent'}"


@dataclass(frozen=True, slots=True)
class Environment:
    """The Python (``cp311``) and the distributions, by name, that a snapshot was frozen with."""

    python: str
    distributions: tuple[Distribution, ...] = ()

    @property
    def digest(self) -> str:
        """Equal for equal environments on any machine."""
        return hash_json(self._plain())

    def versions(self) -> dict[str, str]:
        """The version by name, with the start of the digest where there is one; the Python as ``python``."""
        return {"python": self.python} | {one.name: str(one) for one in self.distributions}

    def compare(self, other: Environment) -> tuple[EnvironmentChange, ...]:
        """What changes on the way from this environment to ``other``, by name."""
        before, after = self.versions(), other.versions()
        names = sorted(before.keys() | after.keys())
        changes = (EnvironmentChange(name, before.get(name), after.get(name)) for name in names)
        return tuple(change for change in changes if change.before != change.after)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; each distribution is a list ``[name, version, digest or None]``."""
        return self._plain()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Environment:
        """The opposite of ``to_dict``."""
        return cls(data["python"], tuple(Distribution(*entry) for entry in data["distributions"]))

    def _plain(self) -> dict[str, Json]:
        distributions: list[Json] = [[one.name, one.version, one.digest] for one in self.distributions]
        return {"python": self.python, "distributions": distributions}


def python_tag() -> str:
    """The running Python, such as ``cp311``: byte-code and native libraries of others do not fit."""
    implementation = "cp" if sys.implementation.name == "cpython" else sys.implementation.name
    return f"{implementation}{sys.version_info.major}{sys.version_info.minor}"


def fingerprint(imported: Iterable[str], frozen: frozenset[str] = frozenset()) -> Environment:
    """The environment behind these top-level module names; names that nothing installed provides do not count.

    ``frozen`` are the modules that the snapshot holds itself. A distribution that provides one of them counts with
    its version and its requirements, but without its content.
    """
    now = installed()
    distributions = (Distribution(*now.describe(name, frozen)) for name in now.closure(_wanted((*imported, *frozen))))
    return Environment(python_tag(), tuple(sorted(distributions)))


def selector(environment: Environment) -> Callable[[Iterable[str]], Environment]:
    """A function that gives the part of a recorded environment that is behind some top-level module names.

    Which distribution is behind a name, and what that requires, is looked up once, in what is installed now.
    """
    now = installed()

    def select(imported: Iterable[str]) -> Environment:
        names = set(now.closure(_wanted(imported)))
        return Environment(environment.python, tuple(one for one in environment.distributions if one.name in names))

    return select


def outside_runtime(changes: Iterable[EnvironmentChange]) -> tuple[EnvironmentChange, ...]:
    """The changes that code can meet. Edits of the runtime itself, where it is developed in place, are not among them:
    every version shares it as it was when the processes started. Another release of it is.
    """
    return tuple(one for one in changes if one.name != RUNTIME or _release(one.before) != _release(one.after))


def _release(version: str | None) -> str:
    return (version or "").partition(" ")[0]


def _wanted(imported: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in imported if name not in _NOT_INSTALLED)
