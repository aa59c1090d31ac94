"""What was read of a file once is not read again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import pytest
from blake3 import blake3

from hotswap.closure import Closure, _memo

SOURCE = {
    "p/__init__.py": "from .dev import Dev\n",
    "p/base.py": "import numpy\nclass Base:\n    limits = {'high': 3}\n",
    "p/dev.py": "from .base import Base\n@property\ndef f(x): return x\n"
    "class Dev(Base):\n    def run(self): return f(1)\n",
}


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    forget(monkeypatch)
    for path, text in SOURCE.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return {path: blake3(text.encode()).hexdigest() for path, text in SOURCE.items()}


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start as a new process does."""
    monkeypatch.setattr(_memo, "_kept", OrderedDict())


def test_known_content_is_not_read_again(tmp_path: Path, digests: dict[str, str]) -> None:
    first = Closure(tmp_path, digests).verdict("p.dev:Dev")
    assert Closure(tmp_path / "nowhere", digests).verdict("p.dev:Dev") == first


def test_a_cache_folder_serves_new_processes(
    tmp_path: Path, digests: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = Closure(tmp_path, digests, cache=cache).verdict("p.dev:Dev")
    forget(monkeypatch)
    assert Closure(tmp_path / "nowhere", digests, cache=cache).verdict("p.dev:Dev") == first


def test_a_damaged_cache_is_made_again(
    tmp_path: Path,
    digests: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = tmp_path / "cache"
    first = Closure(tmp_path, digests, cache=cache).verdict("p.dev:Dev")
    for file in cache.rglob("*"):
        if file.is_file():
            file.write_text("{")
    forget(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert Closure(tmp_path, digests, cache=cache).verdict("p.dev:Dev") == first
    assert "cannot be read and are made again" in caplog.text


def test_memory_is_bounded(tmp_path: Path, digests: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memo, "_LARGEST", 2)
    Closure(tmp_path, digests).verdict("p.dev:Dev")
    assert len(_memo._kept) == 2


def test_other_registration_functions_are_other_facts(tmp_path: Path, digests: dict[str, str]) -> None:
    text = "from lab import add\nfrom .dev import Dev\nadd(Dev)\n"
    (tmp_path / "p/__init__.py").write_text(text)
    files = digests | {"p/__init__.py": blake3(text.encode()).hexdigest()}
    unknown = Closure(tmp_path, files).verdict("p.dev:Dev")
    known = Closure(tmp_path, files, registration=frozenset({"lab.add"})).verdict("p.dev:Dev")
    assert (unknown.scheme, known.scheme) == ("imports", "reachable")
