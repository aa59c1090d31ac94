"""Inputs that people get wrong: experiments with their parameters, and settings, each with the field it is wrong in."""

from __future__ import annotations

from typing import Any


def heating(**changes: Any) -> dict[str, Any]:
    parameters = {"temperature_c": 90, "minutes": 1}
    return {"type": "Heating", "parameters": parameters, "samples": ["a"], **changes}


def experiment(*tasks: Any, **changes: Any) -> dict[str, Any]:
    return {"name": "test", "samples": [{"name": "a"}, {"name": "b"}], "tasks": list(tasks) or [heating()], **changes}


def with_sample(**sample: Any) -> dict[str, Any]:
    return experiment(heating(samples=[]), samples=[sample])


def with_parameters(**parameters: Any) -> dict[str, Any]:
    return experiment(heating(parameters={"temperature_c": 90, **parameters}))


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"x": value}
    return value


# What is submitted, and what the refusal has to name.
EXPERIMENTS: dict[str, tuple[Any, str]] = {
    "empty": ({}, "name"),
    "no name": ({"tasks": [heating(samples=[])]}, "name"),
    "no tasks": ({"name": "x"}, "tasks"),
    "an empty list of tasks": ({"name": "x", "tasks": []}, "tasks"),
    "tasks that are no list": (experiment(tasks={}), "tasks"),
    "tasks that are null": (experiment(tasks=None), "tasks"),
    "a task that is text": (experiment("Heating"), "tasks[0]"),
    "a task that is null": (experiment(None), "tasks[0]"),
    "a second task that is a number": (experiment(heating(), 3), "tasks[1]"),
    "a name that is a number": (experiment(name=3), "name"),
    "a name that is null": (experiment(name=None), "name"),
    "an empty name": (experiment(name=""), "name"),
    "a blank name": (experiment(name=" "), "name"),
    "a name with a dot": (experiment(name="a.b"), "a.b"),
    "a name with a dollar": (experiment(name="$a"), "$a"),
    "an unknown entry": (experiment(colour="red"), "colour"),
    "tags that are text": (experiment(tags="red"), "tags"),
    "a tag that is a number": (experiment(tags=[1]), "tags[0]"),
    "metadata that are a list": (experiment(metadata=[]), "metadata"),
    "a number too large for the database": (experiment(metadata={"big": 2**70}), "metadata.big"),
    "a null byte in a key": (experiment(metadata={"a\0b": 1}), "metadata"),
    "an unknown policy for failures": (experiment(on_failure="ignore"), "on_failure"),
    "samples that are text": (experiment(samples="a"), "samples"),
    "a sample that is text": (experiment(samples=["a"]), "samples[0]"),
    "a sample without a name": (with_sample(tags=[]), "samples[0]"),
    "a sample whose name is empty": (with_sample(name=""), "samples[0]"),
    "a sample whose name is a list": (with_sample(name=[]), "samples[0].name"),
    "a sample whose name has a dot": (with_sample(name="a.b"), "a.b"),
    "a sample with an unknown entry": (with_sample(name="a", mass=3), "mass"),
    "a sample with tags that are a number": (with_sample(name="a", tags=3), "samples[0].tags"),
    "a sample with metadata that are text": (with_sample(name="a", metadata="x"), "samples[0].metadata"),
    "a sample with a label that is a number": (with_sample(name="a", sample_id=3), "samples[0].sample_id"),
    "two samples of one name": (experiment(samples=[{"name": "a"}, {"name": "a"}]), "'a'"),
    "two samples with one label": (
        experiment(samples=[{"name": name, "sample_id": "s"} for name in "ab"]),
        "sample_id 's'",
    ),
    "a task without a type": (experiment({"samples": ["a"]}), "tasks[0]"),
    "a type that is null": (experiment(heating(type=None)), "tasks[0].type"),
    "a type that is a list": (experiment(heating(type=["Heating"])), "tasks[0].type"),
    "an unknown type": (experiment(heating(type="Heatin")), "'Heatin'"),
    "a type in other letters": (experiment(heating(type="heating")), "'heating'"),
    "an empty type": (experiment(heating(type="")), "type"),
    "a task with an unknown entry": (experiment(heating(after=[0])), "after"),
    "a sample that is not there": (experiment(heating(samples=["c"])), "'c'"),
    "a sample named twice by a task": (experiment(heating(samples=["a", "a"])), "twice"),
    "samples of a task that are text": (experiment(heating(samples="a")), "tasks[0].samples"),
    "a sample of a task that is a number": (experiment(heating(samples=[1])), "tasks[0].samples[0]"),
    "a priority below 0": (experiment(heating(priority=-1)), "tasks[0].priority"),
    "a priority above 1000": (experiment(heating(priority=1001)), "tasks[0].priority"),
    "a priority that is a word": (experiment(heating(priority="HIGH")), "tasks[0].priority"),
    "a label that is a number": (experiment(heating(task_id=7)), "tasks[0].task_id"),
    "two tasks with one label": (experiment(heating(task_id="x"), heating(task_id="x")), "task_id 'x'"),
    "after a task that is not there": (experiment(heating(prev_tasks=[7])), "task 7"),
    "after a task before the first": (experiment(heating(prev_tasks=[-1])), "task -1"),
    "after a label that is not there": (experiment(heating(prev_tasks=["x"])), "'x'"),
    "after half a task": (experiment(heating(prev_tasks=[0.5])), "tasks[0].prev_tasks[0]"),
    "after a number that is no list": (experiment(heating(prev_tasks=0)), "tasks[0].prev_tasks"),
    "after itself": (experiment(heating(prev_tasks=[0])), "circle"),
    "in a circle": (experiment(heating(prev_tasks=[1]), heating(prev_tasks=[0])), "circle"),
    "metadata of a sample with a number too large": (
        with_sample(name="a", metadata={"x": [2**70]}),
        "samples[0].metadata.x.0",
    ),
    "metadata that are too deep": (experiment(metadata=nested(900)), "metadata.x.x"),
    "metadata of a sample that are too deep": (with_sample(name="a", metadata=nested(900)), "samples[0].metadata.x"),
    "a parameter that is too deep": (with_parameters(minutes=[nested(900)]), "tasks[0].parameters.minutes[0].x"),
    "parameters that are a list": (experiment(heating(parameters=[])), "tasks[0].parameters"),
    "parameters that are null": (experiment(heating(parameters=None)), "tasks[0].parameters"),
    "a parameter that is missing": (experiment(heating(parameters={})), "'temperature_c'"),
    "a parameter that is misspelt": (with_parameters(minute=1), "'minute'"),
    "a parameter that is null": (with_parameters(minutes=None), "'minutes'"),
    "a parameter that is text": (with_parameters(minutes="1"), "'minutes'"),
    "a parameter that is a truth": (with_parameters(minutes=True), "'minutes'"),
    "a parameter that is a list": (with_parameters(minutes=[1]), "'minutes'"),
    "a parameter that is a table": (with_parameters(minutes={"value": 1}), "'minutes'"),
    "another parameter that is text": (with_parameters(temperature_c="hot"), "'temperature_c'"),
    "the parameter of the second task": (
        experiment(heating(), heating(parameters={"temperature_c": []})),
        "Task 1",
    ),
}

# What stands in lab.toml, and the key that the refusal has to name.
SETTINGS: dict[str, str] = {
    "[general]\nname = ''": "general.name",
    "[general]\nname = 3": "general.name",
    "[general]\nauto_refresh = 'often'": "general.auto_refresh",
    "[general]\ntrigger = 'never'": "general.trigger",
    "[general]\nbranch = 3": "general.branch",
    "[general]\nsimulation = 'no'": "general.simulation",
    "[general]\nsimulate = 'furnace_*'": "general.simulate",
    "[general]\nsimulate = ['']": "general.simulate",
    "[general]\ncutover = 'sudden'": "general.cutover",
    "[general]\npin = 'lab'": "general.pin",
    "[general]\ncolour = 1": "general.colour",
    "general = 1": "general",
    "[server]\nport = 70000": "server.port",
    "[server]\nport = -1": "server.port",
    "[server]\nport = 'http'": "server.port",
    "[server]\nhost = '0.0.0.0'": "host '0.0.0.0'",
    "[server]\nhost = 1": "server.host",
    "[server]\nallow_remote = 'maybe'": "server.allow_remote",
    "server = 1": "server",
    "[servers]\nport = 1": "servers",
    "[mongodb]\nuri = 1": "mongodb.uri",
    "[mongodb]\nhost = 'x'": "mongodb.host",
    "[broker]\nurl = []": "broker.url",
    "[worker]\ncapacity = 0": "worker.capacity",
    "[worker]\ncapacity = 1.5": "worker.capacity",
    "[worker]\ncancel_grace = 0": "worker.cancel_grace",
    "[worker]\nunreachable_after = 0": "worker.unreachable_after",
    "[worker]\nmemory_mb = 1": "worker.memory_mb",
    "[refresh]\ntemplate_timeout = -1": "refresh.template_timeout",
    "[refresh]\ntemplate_memory_mb = 1": "refresh.template_memory_mb",
    "[refresh]\ndebounce_ms = -1": "refresh.debounce_ms",
    "[refresh]\non_failure = 'panic'": "refresh.on_failure",
    "[refresh]\nbarrier_timeout = 0": "refresh.barrier_timeout",
    "[code]\nlocal = 'some'": "code.local",
    "[code]\nextra = 'tools'": "code.extra",
    "[code]\nfetch_interval = 0": "code.fetch_interval",
    "[code]\nremote = 'origin'": "code.remote",
    "[policy]\nbranches = 'main'": "policy.branches",
    "[policy]\nsigned = 'yes please'": "policy.signed",
    "[policy]\nremovals = 'ignore'": "policy.removals",
    "[policy]\nqueued = 'drop'": "policy.queued",
    "[policy]\nresults = 'ignore'": "policy.results",
    "[policy]\ndeadlock = 'ignore'": "policy.deadlock",
    "[signals]\nkeep_days = 0": "signals.keep_days",
    "[signals]\nkeep_days = nan": "signals.keep_days",
    "[snapshots]\nkeep_generations = 0": "snapshots.keep_generations",
    "[snapshots]\nkeep_days = 0": "snapshots.keep_days",
    "[alarms]\ninterval = 'often'": "alarms.interval",
    "[archive]\nafter_days = -1": "archive.after_days",
    "[retention]\nevents_days = 'long'": "retention.events_days",
    "[general": "TOML",
    "a = \x00": "TOML",
    "lab_dir = '/'": "lab_dir",
}
