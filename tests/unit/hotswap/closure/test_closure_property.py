"""Generated packages and edits: whenever a class behaves differently, its digest differs."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from closure_packages import OTHERS, SLOTS, STYLES, THINGS, WRAPS, Package, Part, edited, edits, judged
from closure_patches import CONSTRUCTS
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.system

MODULES = [module for module in OTHERS if module != "q"]

generated = Counter[str]()
"""How often each construct was part of an edit that changed what the class answers."""

FEW = 2_000
"""So many examples have all constructs in them."""

numbers = st.integers(0, 3)


@st.composite
def parts(draw: st.DrawFn) -> Part:
    tool, sibling = draw(st.lists(st.sampled_from(OTHERS), min_size=2, max_size=2, unique=True))
    return Part(
        name=draw(st.sampled_from(sorted(CONSTRUCTS))),
        tool=tool,
        sibling=sibling,
        numbers=draw(st.tuples(*[numbers] * len(SLOTS))),
        style=draw(st.sampled_from(STYLES)),
        wrap=draw(st.sampled_from(WRAPS)),
    )


packages = st.builds(
    Package,
    thing=st.sampled_from(THINGS),
    parts=st.lists(parts(), min_size=1, max_size=3).map(tuple),
    order=st.lists(st.sampled_from(MODULES), max_size=3, unique=True).map(tuple),
)


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, Package, Package]:
    """The construct edited (or what else was), the package before, and after."""
    before = draw(packages)
    kind = draw(st.sampled_from(("number", "number", "number", "order", "part", "place")))
    index = draw(st.integers(0, len(before.parts) - 1))
    part = before.parts[index]
    if kind == "order":
        return kind, before, replace(before, order=draw(packages).order)
    if kind == "part":
        return kind, before, replace(before, parts=(*before.parts, draw(parts())))
    if kind == "place":
        other = draw(parts())
        moved = replace(part, style=other.style, wrap=other.wrap, sibling=other.sibling)
        return kind, before, replace(before, parts=(*before.parts[:index], moved, *before.parts[index + 1 :]))
    slots = part.numbered_slots()
    return part.name, before, edited(before, index, draw(st.sampled_from(slots)), draw(numbers))


def test_changed_behaviour_means_a_changed_digest() -> None:
    _check_changes()
    examples = settings.default.max_examples if settings.default else 0
    never = CONSTRUCTS.keys() - generated.keys()
    assert examples < FEW or not never, f"no change of these changed behaviour in {examples} examples: {sorted(never)}"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes())
def _check_changes(change: tuple[str, Package, Package]) -> None:
    name, before, after = change
    with tempfile.TemporaryDirectory() as folder:
        first, one = judged(Path(folder) / "before", before)
        second, two = judged(Path(folder) / "after", after)
    if None in {first, second}:
        event("does not import")
        return
    event(f"{one.scheme}, {'changed' if first != second else 'same'}")
    if first != second:
        generated[name] += 1
        assert one.digest != two.digest, (first, second, one, two, before.files(), after.files())


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_a_construct_alone_changes_behaviour_and_digest(name: str, tmp_path: Path) -> None:
    package = Package("q.m", (Part(name, tool="q.b", sibling="q.z"),), order=("q.b", "q.z"))
    first, one = judged(tmp_path / "before", package)
    assert first is not None
    changed = []
    for index, slot in edits(package):
        second, two = judged(tmp_path / slot, edited(package, index, slot, 2))
        assert first == second or one.digest != two.digest, (slot, one)
        changed.append(first != second)
    assert any(changed), "this construct decides nothing"
