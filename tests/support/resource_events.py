"""What may happen in the small laboratory in memory, told by a kind and two numbers that choose among what there is."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from resource_world import DEVICES, FURNACE, NEW, OLD, PLACES, World, want

from lab.records import Want

Event = tuple[str, int, int]
PLACE_NAMES = [name for _, _, name in PLACES]

_WANTS: list[list[Want]] = [
    [want("arm")],
    [want("balance")],
    [want(FURNACE)],
    [want(FURNACE, slot=1)],
    [want("furnace_1", slot=2)],
    [want(FURNACE, slot=1), want("arm")],
    [want("arm"), want("balance")],
    [want(FURNACE, "a"), want(FURNACE, "b")],
    [want("furnace_2"), want("furnace_3"), want("arm")],
    [want(None, table=1)],
    [want(None, table=3)],
    [want(None, table=2), want("arm")],
    [want(None, **{"furnace_1/slot/1": 1})],
    [want("my_lab:Thing", "x"), want("my_lab:Thing", "y"), want(FURNACE)],
]
_KINDS = [*["ask"] * 6, *["nest"] * 3, *["release"] * 5, *["move"] * 2, "cancel", "pause", "bind", "fail", "lose"]
_numbers = st.integers(0, 1_000)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(_KINDS),
        _numbers,
        _numbers,
    ),
    min_size=1,
    max_size=40,
)


def happen(world: World, kind: str, first: int, second: int) -> None:
    """One event; numbers choose among what there is."""
    fulfilled, pending = world.with_status("FULFILLED"), world.with_status("PENDING")
    snapshot, priority = (OLD if second % 5 == 0 else NEW), (30 if second % 7 == 0 else 20)
    if kind == "ask":
        task = world.task(*([f"s{second % 6}"] if second % 3 == 0 else []))
        world.ask(task, *_WANTS[first % len(_WANTS)], priority=priority, snapshot=snapshot)
    elif kind == "nest" and fulfilled:
        outer = world.requests[fulfilled[second % len(fulfilled)]]
        world.ask(outer["task"], *_WANTS[first % len(_WANTS)], priority=priority, snapshot=outer["snapshot"])
    elif kind == "release" and fulfilled:
        world.release(fulfilled[first % len(fulfilled)], hold=float(second % 4))
    elif kind == "cancel" and pending:
        world.touch("requests", pending[first % len(pending)], status="CANCELLED")
    elif kind in ("pause", "bind", "fail"):
        _alter(world, kind, DEVICES[first % len(DEVICES)], second)
    elif kind == "lose" and world.tasks:
        task = sorted(world.tasks)[first % len(world.tasks)]
        lost = world.tasks[task]["status"] == "LOST"
        world.touch("tasks", task, status="RUNNING" if lost else "LOST")
    elif kind == "move":
        place = None if second % 4 == 0 else PLACE_NAMES[second % len(PLACE_NAMES)]
        world.move(f"s{first % 6}", place)


def _alter(world: World, kind: str, name: str, number: int) -> None:
    device: Any = world.devices[name]
    if kind == "pause":
        world.touch("devices", name, paused=not device["paused"])
    elif kind == "fail" and device["holder"] is None:
        world.touch("devices", name, state="error" if device["state"] == "free" else "free")
    elif kind == "bind" and device["holder"] is None:
        digest = str(number % 2) if name in ("arm", "furnace_1") else "both"
        world.touch("devices", name, binding={"digest": digest}, state=["free", "rebinding"][number // 2 % 2])
