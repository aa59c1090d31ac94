"""A program and an experimentalist at work with a launched laboratory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from laboratory import Laboratory

from lab import ExperimentBuilder, LargeResult, get_experiment_result, get_experiment_status
from lab.client import ClientError

pytestmark = pytest.mark.system

IMAGING = '''\
"""Imaging, and an experiment that does it."""

from typing import Any

from lab import BaseTask, ExperimentBuilder, LargeResult
from pydantic import BaseModel

from ..transfers import transfer_all


class Image(BaseModel):
    brightness: float
    image: LargeResult


class Imaging(BaseTask):
    """Take a picture of some megabytes."""

    def __init__(self, megabytes: int, fail: bool = False) -> None:
        self.megabytes = megabytes
        self.fail = fail

    @classmethod
    def result_specification(cls) -> type[BaseModel]:
        return Image

    def validate(self) -> bool:
        if self.megabytes > 100:
            raise ValueError(f"megabytes must be at most 100, it is {self.megabytes}")
        return True

    def run(self) -> dict[str, Any]:
        if self.fail:
            raise RuntimeError("the shutter is stuck")
        with open("/dev/zero", "rb") as zeros:
            image = LargeResult.from_file_like_data(Part(zeros, self.megabytes), "image.raw")
            self.lab_view.update_result("image", image)
        return {"brightness": "dim"}


class Part:
    """The first megabytes of a file."""

    def __init__(self, file: Any, megabytes: int) -> None:
        self.file, self.left, self.closed = file, megabytes * 1024 * 1024, False

    def read(self, size: int) -> bytes:
        piece = self.file.read(min(size, self.left))
        self.left -= len(piece)
        return piece


class Placing(BaseTask):
    """Put a sample on the stage, and leave it there."""

    def run(self) -> None:
        with self.lab_view.request_resources({"xrd": {"stage": 1}}) as (_, places):
            transfer_all(self.lab_view, self.samples, places["xrd"]["stage"])


def imaging(samples: int, megabytes: int = 1) -> ExperimentBuilder:
    """Take a picture of each sample."""
    experiment = ExperimentBuilder("imaging")
    for number in range(samples):
        experiment.add_task(Imaging, {"megabytes": megabytes}, [experiment.add_sample(f"sample_{number}")])
    return experiment
'''


@pytest.fixture(scope="module", autouse=True)
def imaging_lab(shared_lab: Laboratory) -> None:
    shared_lab.write("my_lab/tasks/imaging.py", IMAGING)
    shared_lab.edit(
        "my_lab/__init__.py",
        "add_task(Ending)",
        "add_task(Ending)\nadd_task(Imaging)\nadd_task(Placing)\nadd_experiment_template(imaging)\n"
        "add_reroute_task('xrd/stage', Moving, destination='storage')",
    )
    shared_lab.edit(
        "my_lab/__init__.py", "from lab import", "from lab import add_experiment_template, add_reroute_task,"
    )
    shared_lab.edit(
        "my_lab/__init__.py",
        "from .tasks.holding import Holding",
        "from .tasks.holding import Holding\nfrom .tasks.imaging import Imaging, Placing, imaging",
    )
    shared_lab.go_live()


@pytest.fixture(autouse=True)
def in_its_folder(lab: Laboratory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Programs find the lab from its folder."""
    monkeypatch.chdir(lab.folder)
    monkeypatch.setenv("LAB_STATE_DIR", str(lab.state))
    yield


def ended(lab: Laboratory, identifier: str) -> dict[str, Any]:
    lab.until(lambda: get_experiment_status(identifier)["status"] != "RUNNING")
    return get_experiment_result(identifier)


def test_a_program_submits_follows_and_reads_an_experiment(lab: Laboratory, tmp_path: Path) -> None:
    experiment = ExperimentBuilder("from a program", ["test"], operator="Ada")
    sample = experiment.add_sample("quartz", batch=3)
    experiment.add_task("Moving", {"destination": "table"}, [sample], task_id="moving")
    experiment.add_task("Imaging", {"megabytes": 24}, [sample])
    identifier = experiment.submit()
    result = ended(lab, identifier)
    moving, imaging = result["tasks"]
    assert (result["status"], result["progress"], result["metadata"]) == ("COMPLETED", 1.0, {"operator": "Ada"})
    assert (moving["label"], moving["samples"]) == ("moving", ["quartz"])
    assert moving["pin"]["generation"] == lab.generation()
    assert "field 'brightness'" in imaging["result_warning"]
    LargeResult.of(imaging["result"]["image"]).save(tmp_path / "image.raw")
    assert (tmp_path / "image.raw").stat().st_size == 24 * 1024 * 1024
    lab.cli("result", imaging["id"], "image", "-o", str(tmp_path / "again.raw"))
    assert (tmp_path / "again.raw").read_bytes() == (tmp_path / "image.raw").read_bytes()


def test_what_validate_refuses_is_refused_at_submission(lab: Laboratory) -> None:
    before = len(lab.client.get("experiments"))
    experiment = ExperimentBuilder("too large")
    experiment.add_task("Imaging", {"megabytes": 1})
    experiment.add_task("Imaging", {"megabytes": 101})
    with pytest.raises(ClientError) as caught:
        experiment.submit()
    assert caught.value.status == 422
    assert str(caught.value) == "Task 1 (Imaging): megabytes must be at most 100, it is 101."
    assert len(lab.client.get("experiments")) == before


def test_an_experiment_comes_from_a_template(lab: Laboratory) -> None:
    assert [each["name"] for each in json.loads(lab.cli("templates", "--json"))] == ["imaging"]
    submitted = json.loads(lab.cli("submit", "--template", "imaging", "samples=2", "--json"))
    assert [task["samples"] for task in ended(lab, submitted["id"])["tasks"]] == [["sample_0"], ["sample_1"]]
    refused = lab.refused("submit", "--template", "imaging", "samples=many")
    assert refused == "lab: Template imaging: parameter 'samples' must be an integer, not 'many'.\n"


def test_an_experiment_goes_on_when_what_failed_is_skipped(lab: Laboratory, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    experiment = ExperimentBuilder("skipped")
    sample = experiment.add_sample("one")
    experiment.add_task("Imaging", {"megabytes": 1, "fail": True}, [sample])
    experiment.add_task("Imaging", {"megabytes": 1}, [sample])
    experiment.generate_input_file(path, "yaml")
    identifier = json.loads(lab.cli("submit", str(path), "--json"))["id"]
    failed, cancelled = ended(lab, identifier)["tasks"]
    assert (failed["status"], cancelled["status"]) == ("ERROR", "CANCELLED")
    assert "1 failed task runs again" in lab.cli("resume", identifier)
    assert ended(lab, identifier)["status"] == "ERROR"
    assert "is skipped" in lab.cli("skip", failed["id"])
    assert ended(lab, identifier)["status"] == "COMPLETED"


def test_an_experiment_continues_with_the_samples_that_remain(lab: Laboratory) -> None:
    experiment = ExperimentBuilder("continued", on_failure="continue")
    samples = [experiment.add_sample(name) for name in ("bad", "good")]
    experiment.add_task("Imaging", {"megabytes": 1, "fail": True}, samples[:1])
    experiment.add_task("Imaging", {"megabytes": 1}, samples[1:])
    experiment.add_task("Imaging", {"megabytes": 1}, samples)
    result = ended(lab, experiment.submit())
    assert [(task["status"], task["samples"]) for task in result["tasks"]] == [
        ("ERROR", ["bad"]),
        ("COMPLETED", ["good"]),
        ("COMPLETED", ["good"]),
    ]
    assert result["status"] == "ERROR"


def test_a_sample_that_was_left_in_the_way_is_taken_away(lab: Laboratory) -> None:
    first = ExperimentBuilder("left")
    first.add_task("Placing", {}, [first.add_sample("left")])
    identifier = first.submit()
    assert ended(lab, identifier)["samples"][0]["position"] == "xrd/stage/1"
    second = ExperimentBuilder("wants the stage")
    second.add_task("Placing", {}, [second.add_sample("next")])
    assert ended(lab, second.submit())["samples"][0]["position"] == "xrd/stage/1"
    assert str(get_experiment_status(identifier)["samples"][0]["position"]).startswith("storage/")
