"""What `hotswap.open` starts is there for as long as somebody uses it."""

from __future__ import annotations

import pytest
from fleets import Freeze

import hotswap
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
