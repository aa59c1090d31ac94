"""What the devices of a launched lab measure, asked for from outside."""

from __future__ import annotations

import json

import pytest
from laboratory import Laboratory

from lab.client import ClientError

pytestmark = pytest.mark.system


def test_the_temperature_of_a_furnace_is_recorded_and_shown(lab: Laboratory) -> None:
    lab.until(lambda: lab.client.signals("furnace_1"))
    [reading] = json.loads(lab.cli("signals", "furnace_1", "--json"))
    assert (reading["device"], reading["name"]) == ("furnace_1", "temperature_c")
    assert reading["value"] >= 25.0
    _, shown = lab.cli("signals", "furnace_1", "temperature_c", "--within", "2h").splitlines()[:2]
    assert shown.split()[-2] == "temperature_c"
    assert lab.client.signals("furnace_1", within="1h")[0] == lab.client.signals("furnace_1", "temperature_c", "2h")[0]
    assert lab.client.signals("balance") == []


def test_what_cannot_be_shown_is_told_in_one_sentence(lab: Laboratory) -> None:
    lab.until(lambda: lab.client.signals("furnace_1"))
    assert "There is no device 'oven'" in lab.refused("signals", "oven")
    assert "has recorded no signal 'heat'; `lab signals furnace_1` lists them" in lab.refused(
        "signals", "furnace_1", "heat"
    )
    assert "'soon' is no span of time; write it as 90s" in lab.refused("signals", "furnace_1", "--within", "soon")
    with pytest.raises(ClientError) as refusal:
        lab.client.signals("furnace_1", within="soon")
    assert refusal.value.status == 400
