"""``lab submit`` and ``lab templates`` against a lab that answers as told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lab.cli import main
from lab.client import ClientError, LabClient

TEMPLATE = {
    "name": "firing",
    "description": "Heat some samples.",
    "schema": {"properties": {"samples": {}, "minutes": {}}, "required": ["samples"]},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab's folder; what would go to the lab is kept in ``sent.json`` there."""
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text('[general]\nstate_dir = "state"\n')
    (tmp_path / "state" / "run").mkdir(parents=True)
    (tmp_path / "state" / "token").write_text("secret")
    (tmp_path / "state" / "run" / "managers.json").write_text('{"url": "http://127.0.0.1:1"}')

    def post(_: LabClient, path: str, body: dict[str, Any]) -> Any:
        if path == "templates/firing/expand":
            return {"name": "firing", "tasks": [], "metadata": body["parameters"]}
        if path != "experiments":
            raise ClientError("There is no template.", 404)
        (tmp_path / "sent.json").write_text(json.dumps(body))
        return {"id": "e1"}

    monkeypatch.setattr(LabClient, "post", post)
    monkeypatch.setattr(LabClient, "get", lambda *_: [TEMPLATE])
    return tmp_path


def lab(folder: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [*arguments, "-c", str(folder)], input=stdin, env={"COLUMNS": "200"})


def sent(folder: Path) -> Any:
    return json.loads((folder / "sent.json").read_text())


def test_yaml_from_a_file_or_a_pipe_is_submitted(folder: Path) -> None:
    (folder / "e.yaml").write_text("name: first\ntasks: []\n")
    assert lab(folder, "submit", str(folder / "e.yaml")).output == "Submitted experiment e1.\n"
    assert sent(folder) == {"name": "first", "tasks": []}
    assert lab(folder, "submit", "-", stdin="name: second\n").exit_code == 0
    assert sent(folder) == {"name": "second"}


def test_a_template_is_expanded_and_submitted(folder: Path) -> None:
    run = lab(folder, "submit", "--template", "firing", "samples=4", "label=first one", "--json")
    assert json.loads(run.output) == {"id": "e1"}
    assert sent(folder)["metadata"] == {"samples": 4, "label": "first one"}


def test_a_dry_run_prints_the_experiment_and_submits_nothing(folder: Path) -> None:
    run = lab(folder, "submit", "--template", "firing", "samples=4", "--dry-run")
    assert json.loads(run.output)["metadata"] == {"samples": 4}
    assert not (folder / "sent.json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Give one FILE with the experiment, or --template and its parameters."),
        (("a", "b"), "Give one FILE with the experiment, or --template and its parameters."),
        (("--template", "firing", "samples"), "'samples' gives no parameter a value; write it as KEY=VALUE."),
        (("--template", "melting"), "There is no template."),
        (("missing.json",), "missing.json cannot be used (No such file or directory)"),
    ],
)
def test_what_cannot_be_submitted_is_one_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    run = lab(folder, "submit", *arguments)
    assert (run.exit_code, run.stdout) == (2, "")
    assert sentence in run.stderr
    assert run.stderr.count("\n") == 1


def test_templates_are_listed_with_what_they_take(folder: Path) -> None:
    (*_, line) = lab(folder, "templates").output.splitlines()
    assert line.split("  ")[0].strip() == "firing"
    assert "samples [minutes]" in line
    assert line.endswith("Heat some samples.")
