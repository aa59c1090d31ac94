"""Settings that people get wrong: each is refused in one sentence that names file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from malformed import EXPERIMENTS, SETTINGS

from lab.settings.config import load
from lab.settings.section import ConfigError


@pytest.mark.parametrize("text", SETTINGS)
def test_a_wrong_setting_is_refused_by_its_key(tmp_path: Path, text: str) -> None:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    sentence = str(caught.value)
    assert SETTINGS[text] in sentence
    assert str(tmp_path / "lab.toml") in sentence
    assert "\n" not in sentence


def test_a_hundred_wrong_inputs_are_tried() -> None:
    different = {repr(document) for document, _ in EXPERIMENTS.values()} | set(SETTINGS)
    assert len(different) == len(EXPERIMENTS) + len(SETTINGS) >= 100
