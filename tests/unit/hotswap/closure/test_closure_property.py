"""Generated packages and edits: whenever a class behaves differently, its digest differs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from closure_packages import OTHERS, SLOTS, STYLES, THINGS, WRAPS, Package, Part, edited, edits, judged
from closure_patches import CONSTRUCTS
from closure_runner import Runner
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hotswap.closure import explain

pytestmark = pytest.mark.system

MODULES = [module for module in OTHERS if module != "q"]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as made:
        yield made


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
def changes(draw: st.DrawFn, name: str | None = None) -> tuple[Package, Package]:
    """The package before and after; a number of the construct ``name`` is edited, or anything."""
    before = draw(packages)
    kind = draw(st.sampled_from(("number", "number", "number", "order", "part", "place")))
    index = draw(st.integers(0, len(before.parts) - 1))
    if name is not None:
        before, index, kind = _with(before, replace(before.parts[0], name=name)), 0, "number"
    part = before.parts[index]
    if kind == "order":
        return before, replace(before, order=draw(packages).order)
    if kind == "part":
        return before, replace(before, parts=(*before.parts, draw(parts())))
    if kind == "place":
        other = draw(parts())
        moved = replace(part, style=other.style, wrap=other.wrap, sibling=other.sibling)
        return before, _with(before, moved, index)
    return before, edited(before, index, draw(st.sampled_from(part.numbered_slots())), draw(numbers))


def _with(package: Package, part: Part, index: int = 0) -> Package:
    parts = (*package.parts[:index], part, *package.parts[index + 1 :])
    return replace(package, parts=parts)


def _judge(runner: Runner, before: Package, after: Package) -> bool:
    """Whether the class behaves differently; its digest differs then, and each difference of digests has a cause."""
    with tempfile.TemporaryDirectory() as folder:
        first, old = judged(runner, Path(folder) / "before", before)
        second, new = judged(runner, Path(folder) / "after", after)
        found = explain(old, new, before.class_name)
    if None in {first, second}:
        event("does not import")
        return False
    assert found.after, "the class is in both"
    event(f"{found.after.scheme}, {'changed' if first != second else 'same'}")
    assert first == second or found.changed, (first, second, found, before.files(), after.files())
    assert found.changed == bool(found.causes), (found, before.files(), after.files())
    return first != second


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes())
def test_changed_behaviour_means_a_changed_digest(runner: Runner, change: tuple[Package, Package]) -> None:
    _judge(runner, *change)


@pytest.mark.long
@pytest.mark.parametrize("name", CONSTRUCTS)
def test_a_construct_in_any_company_changes_behaviour_and_digest(runner: Runner, name: str) -> None:
    changed = []

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(changes(name))
    def check(change: tuple[Package, Package]) -> None:
        changed.append(_judge(runner, *change))

    check()
    assert any(changed), "no edit of this construct decided anything"


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_a_construct_alone_changes_behaviour_and_digest(runner: Runner, name: str, tmp_path: Path) -> None:
    package = Package("q.m", (Part(name, tool="q.b", sibling="q.z"),), order=("q.b", "q.z"))
    first, old = judged(runner, tmp_path / "before", package)
    assert first is not None
    changed = []
    for index, slot in edits(package):
        second, new = judged(runner, tmp_path / slot, edited(package, index, slot, 2))
        found = explain(old, new, package.class_name)
        assert first == second or found.causes, (slot, found)
        changed.append(first != second)
    assert any(changed), "this construct decides nothing"
