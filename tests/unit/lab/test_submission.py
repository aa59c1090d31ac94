from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from lab.catalog import Definitions
from lab.experiments.submission import Submission, check
from lab.records import TaskStatus
from lab.refusals import SubmissionError

HEATING = {
    "properties": {
        "temperature_c": {"type": "number", "maximum": 1200},
        "minutes": {"type": "integer", "exclusiveMinimum": 0},
        "atmosphere": {"enum": ["air", "argon"], "type": "string", "default": "air"},
        "profile": {"$ref": "#/$defs/Profile"},
    },
    "$defs": {"Profile": {"type": "object", "properties": {"ramp": {"type": "number"}}, "required": ["ramp"]}},
    "required": ["temperature_c", "minutes"],
    "additionalProperties": False,
    "type": "object",
}
DEFINITIONS = Definitions(
    snapshot="a" * 64,
    package="my_lab",
    devices={},
    tasks={"Heating": {"schema": HEATING}, "Ending": {"schema": {"type": "object", "additionalProperties": False}}},
    positions=[],
    drivers={},
)


def heating(**changes: Any) -> dict[str, Any]:
    return {
        "type": "Heating",
        "parameters": {"temperature_c": 900.5, "minutes": 30},
        "prev_tasks": [],
        "samples": ["s1"],
        **changes,
    }


def experiment(*tasks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "first light", "samples": [{"name": "s1"}, {"name": "s2"}], "tasks": list(tasks), **changes}


def accepted(document: object) -> Submission:
    return check(document, DEFINITIONS)


def refused(document: object) -> str:
    with pytest.raises(SubmissionError) as caught:
        check(document, DEFINITIONS)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence


def test_a_first_task_is_ready_and_a_later_one_waits() -> None:
    ending = {"type": "Ending", "prev_tasks": [0], "samples": ["s1", "s2"]}
    first, second = accepted(experiment(heating(), ending)).tasks
    assert (first["status"], second["status"]) == (TaskStatus.READY, TaskStatus.WAITING)
    assert second["previous"] == [first["_id"]]


def test_documents_refer_to_each_other_by_id() -> None:
    submission = accepted(experiment(heating()))
    (task,), samples = submission.tasks, submission.samples
    assert submission.experiment["tasks"] == [task["_id"]]
    assert submission.experiment["samples"] == [sample["_id"] for sample in samples]
    assert task["samples"] == [samples[0]["_id"]]
    assert {task["experiment"], samples[0]["experiment"]} == {submission.experiment["_id"]}


def test_the_starter_experiment_has_the_right_form() -> None:
    document = json.loads((resources.files("lab") / "starter" / "experiment.json").read_text())
    anything = {name: {"schema": {}} for name in ("Dosing", "Heating", "Characterising", "Ending")}
    definitions = Definitions("a" * 64, "my_lab", {}, anything, [], {})
    assert len(check(document, definitions).tasks) == len(document["tasks"])


def test_an_unknown_task_type_is_refused_with_the_nearest_name() -> None:
    sentence = refused(experiment(heating(type="Heatin")))
    assert sentence == "Task 0 is of an unknown type 'Heatin'; did you mean 'Heating'?"


def test_a_missing_parameter_is_refused() -> None:
    sentence = refused(experiment(heating(parameters={"temperature_c": 1})))
    assert sentence == "Task 0 (Heating): parameter 'minutes' is missing."


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"minute": 3}, "there is no parameter 'minute'; did you mean 'minutes'?"),
        ({"minutes": "3"}, "parameter 'minutes' must be an integer, not '3'"),
        ({"minutes": True}, "parameter 'minutes' must be an integer, not True"),
        ({"minutes": 2.5}, "parameter 'minutes' must be an integer, not 2.5"),
        ({"minutes": 0}, "parameter 'minutes' must be greater than 0, not 0"),
        ({"temperature_c": 1500}, "parameter 'temperature_c' must be at most 1200, not 1500"),
        ({"temperature_c": None}, "parameter 'temperature_c' must be a number, not None"),
        ({"atmosphere": "steam"}, "parameter 'atmosphere' must be one of 'air', 'argon', not 'steam'"),
        ({"profile": {}}, "parameter 'profile.ramp' is missing"),
        ({"profile": {"ramp": "fast"}}, "parameter 'profile.ramp' must be a number, not 'fast'"),
    ],
)
def test_a_wrong_parameter_is_refused(parameters: dict[str, Any], said: str) -> None:
    whole = {"temperature_c": 900, "minutes": 30, **parameters}
    assert said in refused(experiment(heating(parameters=whole)))


def test_a_whole_float_counts_as_an_integer() -> None:
    assert accepted(experiment(heating(parameters={"temperature_c": 900, "minutes": 30.0}))).tasks


def test_a_wrong_sample_name_is_refused() -> None:
    assert "names a sample 'S3' that the experiment does not have" in refused(experiment(heating(samples=["S3"])))


def test_a_sample_named_twice_by_one_task_is_refused() -> None:
    assert "names a sample twice" in refused(experiment(heating(samples=["s1", "s1"])))


def test_two_samples_of_one_name_are_refused() -> None:
    assert "Two samples are called 's1'" in refused(experiment(heating(), samples=[{"name": "s1"}, {"name": "s1"}]))


def test_a_cycle_is_refused_and_shown() -> None:
    sentence = refused(experiment(heating(prev_tasks=[1]), heating(prev_tasks=[0])))
    assert "in a circle (0 -> 1 -> 0)" in sentence or "in a circle (1 -> 0 -> 1)" in sentence


def test_a_task_that_waits_for_itself_is_refused() -> None:
    assert "in a circle (0 -> 0)" in refused(experiment(heating(prev_tasks=[0])))


@pytest.mark.parametrize("index", [-1, 1, 99])
def test_an_index_outside_the_experiment_is_refused(index: int) -> None:
    assert f"after task {index}" in refused(experiment(heating(prev_tasks=[index])))


@pytest.mark.parametrize("name", ["a.b", "$a", "a/b", "a\0b", " ", "", "a" * 201])
def test_names_that_cannot_be_stored_are_refused(name: str) -> None:
    refused(experiment(heating(), name=name))
    refused(experiment(heating(samples=[]), samples=[{"name": name}]))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "its root"),
        ({"name": "x"}, "lacks 'tasks'"),
        (experiment(), "at 'tasks'"),
        (experiment(heating(), color="red"), "unknown entry 'color'"),
        (experiment(heating(prev_tasks=[0.5])), "at 'tasks[0].prev_tasks[0]'"),
        (experiment(heating(priority=-1)), "tasks[0].priority"),
        (experiment(heating(parameters=[])), "tasks[0].parameters"),
    ],
)
def test_a_malformed_document_is_refused_where_it_is_wrong(document: object, said: str) -> None:
    assert said in refused(document)


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"big": 2**70}, "metadata.big"),
        ({"null\0key": 1}, r"metadata.null\x00key"),
        ({"deep": [1, {"big": 2**70}]}, "metadata.deep.1.big"),
    ],
)
def test_what_the_database_cannot_carry_is_refused_by_its_field(metadata: dict[str, Any], named: str) -> None:
    sentence = refused(experiment(heating(), metadata=metadata))
    assert f"holds at '{named}' a value that cannot be stored" in sentence
    sample = {"name": "s1", "metadata": metadata}
    assert f"'samples[0].{named}'" in refused(experiment(heating(), samples=[sample]))


def test_a_huge_experiment_is_refused_by_its_field() -> None:
    assert "at 'metadata' makes a record of" in refused(experiment(heating(), metadata={"blob": "x" * 13_000_000}))


def test_labels_are_kept_and_name_earlier_tasks() -> None:
    submission = accepted(
        experiment(
            heating(prev_tasks=["firing"], task_id=None),
            heating(task_id="firing"),
            samples=[{"name": "s1", "sample_id": "S-1"}, {"name": "s2", "sample_id": None}],
        )
    )
    first, firing = submission.tasks
    assert (first["previous"], firing["label"], "label" in first) == ([firing["_id"]], "firing", False)
    assert [sample.get("label") for sample in submission.samples] == ["S-1", None]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (experiment(heating(prev_tasks=["firng"]), heating(task_id="firing")), "did you mean 'firing'?"),
        (experiment(heating(task_id="a"), heating(task_id="a")), "Two tasks have the task_id 'a'"),
        (experiment(heating(task_id="a", prev_tasks=["a"])), "in a circle"),
        (experiment(heating(), samples=[{"name": n, "sample_id": "a"} for n in ("s1", "s2")]), "the sample_id 'a'"),
        (experiment(heating(), on_failure="ignore"), "at 'on_failure'"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(document: object, said: str) -> None:
    assert said in refused(document)


def test_the_input_of_the_field_is_accepted_as_it_is() -> None:
    """As other builders write it: ids as labels, a list for everything."""
    document = {
        "name": "first light",
        "tags": [],
        "metadata": {},
        "samples": [{"name": "s1", "sample_id": "665f0c3b9a7e4d1f2a3b4c5d", "tags": [], "metadata": {}}],
        "tasks": [
            {
                "type": "Heating",
                "prev_tasks": [],
                "parameters": {"temperature_c": 900, "minutes": 30},
                "samples": ["s1"],
                "task_id": "665f0c3b9a7e4d1f2a3b4c5e",
            }
        ],
    }
    assert accepted(document).tasks[0]["label"] == "665f0c3b9a7e4d1f2a3b4c5e"
