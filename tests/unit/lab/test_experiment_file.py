"""Experiments read from files."""

from __future__ import annotations

import pytest

from lab.experiments.experiment_file import ExperimentFileError, read

YAML = b"""\
name: first light
metadata:
  date: 2026-01-02
  1: one
tasks:
  - type: Heating
    task_id: firing
    parameters: {minutes: 30}
"""


def test_yaml_is_read_with_dates_as_text() -> None:
    found = read(YAML, "it.yaml")
    assert found["metadata"] == {"date": "2026-01-02", "1": "one"}
    assert found["tasks"] == [{"type": "Heating", "task_id": "firing", "parameters": {"minutes": 30}}]


def test_what_begins_with_a_brace_is_json() -> None:
    assert read(b' {"name": "a"}', "-") == {"name": "a"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"name": }', r"it is not JSON: .*line 1 column 10"),
        (b"name: [1", "it is not YAML: .*line 1"),
        (b"- a\n- b", "it holds no experiment"),
        (b"", "it holds no experiment"),
        (b"!!python/object/apply:os.system [ls]", "it is not YAML: could not determine a constructor"),
        (b"name: \x80", "it is not YAML"),
        (b'{"a":' * 100_000, "it is not JSON"),
    ],
)
def test_what_is_no_experiment_is_said_in_one_line(text: bytes, sentence: str) -> None:
    with pytest.raises(ExperimentFileError, match=sentence) as caught:
        read(text, "it")
    assert "\n" not in str(caught.value)
