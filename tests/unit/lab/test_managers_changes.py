from __future__ import annotations

from lab.managers.changes import Changed, Changes


def test_at_first_everything_counts_as_changed() -> None:
    assert Changes().take().everything


def test_what_was_taken_is_forgotten() -> None:
    changes = Changes()
    changes.note("devices", "arm")
    changes.note("devices", "arm")
    changes.take()
    assert changes.take() == Changed()


def test_ids_are_told_by_collection() -> None:
    changes = Changes()
    changes.take()
    changes.note("devices", "arm")
    changes.note("requests", "r1")
    taken = changes.take()
    assert not taken.everything
    assert (taken.of("devices"), taken.of("requests"), taken.of("samples")) == ({"arm"}, {"r1"}, frozenset())


def test_after_an_interruption_everything_counts_as_changed() -> None:
    changes = Changes()
    changes.take()
    changes.note_everything()
    assert changes.take().everything
    assert not changes.take().everything
