"""An archive may hold only packages that a source would give."""

from __future__ import annotations

import pytest

from hotswap.archive._format import Flaw, manifest_of, read_manifest
from hotswap.digest import hash_bytes
from hotswap.environment import Environment
from hotswap.limits import LIMITS
from hotswap.snapshot import FileEntry, Origin, Snapshot


def manifest(*paths: str) -> bytes:
    """Of a snapshot of the package ``my_lab`` that has these empty files."""
    entries = [FileEntry(path, 0o644, 0, hash_bytes(b"")) for path in paths]
    return manifest_of(Snapshot.of("my_lab", entries, Environment("cp311"), Origin()))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("json.py", "standard library"),
        ("sitecustomize.py", "whenever it starts"),
        ("hotswap/__init__.py", "belongs to the runtime"),
        ("lab/__init__.py", "belongs to the runtime"),
        ("my-tools/a.py", "not a Python identifier"),
    ],
)
def test_a_name_that_no_source_may_have_is_refused(path: str, reason: str) -> None:
    with pytest.raises(Flaw, match=reason):
        read_manifest(manifest("my_lab/__init__.py", path), LIMITS)


@pytest.mark.parametrize("paths", [(), ("other/__init__.py",)])
def test_a_snapshot_without_a_file_of_its_package_is_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(Flaw, match="no file of its package 'my_lab'"):
        read_manifest(manifest(*paths), LIMITS)


def test_further_packages_modules_and_metadata_are_accepted() -> None:
    data = manifest("my_lab/__init__.py", "tools/a.py", "units.py", "my_lab-1.0.dist-info/METADATA")
    assert len(read_manifest(data, LIMITS).files) == 4
