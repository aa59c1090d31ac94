"""What `hotswap.open` starts is there for as long as somebody uses it."""

from __future__ import annotations

import pytest
from fleets import Freeze

import hotswap
from hotswap.errors import DescribeError, NoRoomError
from hotswap.store import Store
from hotswap.versions import Version

pytestmark = pytest.mark.system


def _templates(version: Version) -> list[str]:
    return [each["snapshot"] for each in version._fleet.processes() if each["kind"] == "template"]


def test_the_last_version_of_a_snapshot_that_is_closed_ends_its_template(store: Store, freeze: Freeze) -> None:
    snapshot = freeze(1)
    one, two = hotswap.open(snapshot, store.root), hotswap.open(snapshot, store.root)
    one.close()
    assert _templates(two) == [snapshot]
    assert two.run("sample_app.service:child") == 1
    two.close()
    assert _templates(two) == []


def test_what_does_not_fit_is_refused_with_those_to_close_and_fits_once_they_are(store: Store, freeze: Freeze) -> None:
    large = {"ballast": 'x = b"x" * (150 << 20)\n'}
    one, two = freeze(1, **large), freeze(2, **large)
    first = hotswap.open(one, store.root, memory_mb=300)
    with pytest.raises(NoRoomError, match=f"{one[:12]} [0-9]+ MB"):
        hotswap.open(two, store.root, memory_mb=300)
    assert first.run("sample_app.service:child") == 1
    first.close()
    with hotswap.open(two, store.root, memory_mb=300) as second:
        assert second.run("sample_app.service:child") == 2


@pytest.mark.parametrize(
    ("text", "seconds", "memory", "limit"),
    [
        ("while True:\n    pass\n", 0.5, 8192, "0.5 s of time"),
        ("y = bytearray(1 << 30)\n", 30, 600, "600 MB of memory"),
    ],
    ids=["time", "memory"],
)
def test_an_import_is_held_to_the_limits_given(
    store: Store, freeze: Freeze, text: str, seconds: float, memory: int, limit: str
) -> None:
    with pytest.raises(DescribeError, match=f"the limit of {limit}"):
        hotswap.open(freeze(1, greedy=text), store.root, import_seconds=seconds, import_memory_mb=memory)
