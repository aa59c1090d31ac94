"""What ``import hotswap`` offers."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import hotswap


@pytest.mark.parametrize("name", hotswap.__all__)
def test_every_public_name_is_there_and_is_no_module(name: str) -> None:
    assert not isinstance(getattr(hotswap, name), ModuleType)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hotswap' has no attribute 'nothing'"):
        _ = hotswap.nothing


def test_importing_hotswap_loads_nothing_else_but_the_standard_library() -> None:
    code = "import sys; known = set(sys.modules); import hotswap; print(*set(sys.modules) - known)"
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {name for name in loaded if name.startswith("hotswap")} == {"hotswap"}
    assert {name.partition(".")[0] for name in loaded} <= sys.stdlib_module_names | {"hotswap"}
