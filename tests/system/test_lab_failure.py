"""A launched laboratory that goes back by itself when a device does not connect with its new driver."""

from __future__ import annotations

from pathlib import Path

import pytest
from laboratory import laboratory

from hotswap.generations import Generations

pytestmark = pytest.mark.system

CONNECT = '''    def connect(self) -> None:
        """Look for the balance where it is not."""
        raise ConnectionError("no such port")

    @property
    def sample_positions'''


def test_a_generation_with_which_a_device_does_not_connect_is_rolled_back(tmp_path: Path) -> None:
    with laboratory(tmp_path, '\n[refresh]\non_failure = "rollback"\n') as lab:
        first = lab.definitions().snapshot
        before = lab.connects()
        lab.edit("my_lab/devices/balance.py", "    @property\n    def sample_positions", CONNECT)
        bad = lab.go_live()
        went_back = lab.until(lambda: lab.records.refreshes.find_one({"trigger": "rollback", "reason": {"$ne": None}}))
        assert went_back is not None
        lab.settle()
        current = Generations(lab.records.database).current()
        assert current is not None
        assert (current.number, current.snapshot, current.rolled_back_to) == (bad + 1, first, bad - 1)
        assert "balance: " in went_back["reason"]
        assert "no such port" in went_back["reason"]
        failed = lab.records.refreshes.find_one({"generation": bad})
        assert failed is not None
        assert [each["device"] for each in failed["failures"]] == ["balance"]
        balance = lab.devices()["balance"]
        assert balance["binding"] is not None
        assert (balance["state"], balance["binding"]["digest"]) == ("free", lab.definitions().drivers["balance"])
        others = {name: count for name, count in lab.connects().items() if name != "balance"}
        assert others == {name: count for name, count in before.items() if name != "balance"}
