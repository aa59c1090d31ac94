"""No value of a wrong shape is taken for a setting: each is refused in one sentence that names file and key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from lab.settings.config import LabConfig, load
from lab.settings.section import ConfigError


def keys(model: Any, table: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        inner = [each for each in (field.annotation, *get_args(field.annotation)) if hasattr(each, "model_fields")]
        if inner:
            yield from keys(inner[0], f"{table}.{name}".lstrip("."))
        elif table:
            yield table, name


TABLES = sorted({table for table, _ in keys(LabConfig)})


def refusal(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    (folder / "my_lab").mkdir(exist_ok=True)
    (folder / "my_lab" / "__init__.py").touch()
    (folder / "lab.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(folder, environ or {})
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("value", ["{ nonsense = 1 }", "[[1979-05-27]]"])
@pytest.mark.parametrize(("table", "key"), list(keys(LabConfig)))
def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path, table: str, key: str, value: str) -> None:
    sentence = refusal(tmp_path, f"[{table}]\n{key} = {value}\n")
    assert str(tmp_path / "lab.toml") in sentence
    assert f"{table}.{key}" in sentence or f"{table}:" in sentence


@pytest.mark.parametrize("table", TABLES)
def test_a_key_that_there_is_not_is_refused(tmp_path: Path, table: str) -> None:
    sentence = refusal(tmp_path, f"[{table}]\nnonsense = 1\n")
    assert str(tmp_path / "lab.toml") in sentence


@pytest.mark.parametrize("table", TABLES)
def test_what_should_be_a_table_is_refused(tmp_path: Path, table: str) -> None:
    above, _, name = table.rpartition(".")
    sentence = refusal(tmp_path, f"{f'[{above}]' if above else ''}\n{name} = 7\n")
    assert table in sentence


@pytest.mark.parametrize("table", TABLES)
def test_a_variable_for_a_key_that_there_is_not_is_refused_by_its_name(tmp_path: Path, table: str) -> None:
    variable = f"HOTSWAP_LAB__{table.replace('.', '__').upper()}__NONSENSE"
    assert variable in refusal(tmp_path, "", {variable: "1"})
