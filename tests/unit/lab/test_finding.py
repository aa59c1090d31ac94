from __future__ import annotations

from typing import Any

from lab.finding import find_in


class Collection:
    """Finds a document for each value that is asked for, but for odd ones."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def find(self, query: dict[str, Any], _fields: object) -> list[str]:
        values = query["name"]["$in"]
        self.asked.append(len(values))
        return [value for value in values if int(value) % 2 == 0]


def test_many_are_found_with_a_bounded_number_in_each_query() -> None:
    collection = Collection()
    names = [str(number) for number in range(250)]
    assert sorted(find_in(collection, "name", [*names, *names]), key=int) == names[::2]
    assert collection.asked == [100, 100, 50]


def test_for_nothing_the_database_is_not_asked() -> None:
    collection = Collection()
    assert list(find_in(collection, "name", [])) == []
    assert collection.asked == []
