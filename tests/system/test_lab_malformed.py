"""Experiments that people get wrong, sent to a launched lab: each is refused in one sentence, and the lab goes on."""

from __future__ import annotations

from typing import Any

import pytest
from laboratory import Laboratory
from malformed import EXPERIMENTS, experiment

from lab.client import ClientError

pytestmark = pytest.mark.system


def stored(lab: Laboratory) -> list[int]:
    return [each.count_documents({}) for each in (lab.records.experiments, lab.records.tasks, lab.records.samples)]


@pytest.mark.parametrize(("document", "named"), EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_a_wrong_experiment_is_refused_by_its_field_and_nothing_is_stored(
    lab: Laboratory, document: Any, named: str
) -> None:
    before = stored(lab)
    with pytest.raises(ClientError) as caught:
        lab.client.submit(document)
    sentence = str(caught.value)
    assert caught.value.status in (400, 422)
    assert named in sentence
    assert "\n" not in sentence and "Traceback" not in sentence
    assert sentence[-1] in ".?"
    assert stored(lab) == before


def test_after_all_of_them_work_is_taken_and_done(lab: Laboratory) -> None:
    submitted = lab.client.submit(experiment())
    lab.until(lambda: lab.client.experiment(submitted)["status"] != "RUNNING")
    assert lab.client.experiment(submitted)["status"] == "COMPLETED"
