from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hotswap.generations import Generation, SnapshotState

GENERATION = Generation(
    number=7,
    snapshot="ab" * 32,
    commit=None,
    dirty=True,
    environment="cd" * 32,
    actor="mira",
    reason="saved",
    activated_at=datetime(2026, 5, 4, 3, 2, 1, 123456, UTC),
    rolled_back_to=3,
)


def test_a_generation_survives_json() -> None:
    assert Generation.from_dict(json.loads(json.dumps(GENERATION.to_dict()))) == GENERATION


@given(
    st.builds(
        Generation,
        number=st.integers(1),
        snapshot=st.text(),
        commit=st.none() | st.text(),
        dirty=st.booleans(),
        environment=st.text(),
        actor=st.text(),
        reason=st.text(),
        activated_at=st.datetimes(timezones=st.just(UTC)),
        rolled_back_to=st.none() | st.integers(1),
    )
)
def test_every_generation_is_restored_from_its_plain_data(generation: Generation) -> None:
    data: dict[str, Any] = generation.to_dict()
    assert Generation.from_dict(data) == generation


def test_the_time_of_activation_keeps_its_zone() -> None:
    assert Generation.from_dict(GENERATION.to_dict()).activated_at.tzinfo is not None


def test_states_read_as_the_words_people_use() -> None:
    assert [str(state) for state in SnapshotState] == [
        "staged",
        "rejected",
        "current",
        "draining",
        "closing",
        "drained",
        "stranded",
    ]
