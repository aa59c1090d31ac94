"""From a sample to the code that made it, with a real database and a real store, and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import git
import pytest
from pymongo.database import Database

from hotswap.checkout import checkout
from hotswap.environment import Environment
from hotswap.generations import Generations
from hotswap.snapshot import Snapshot
from hotswap.source import TreeSource
from hotswap.store import Retention, Store
from lab.catalog import Catalog, Definitions
from lab.provenance import Provenance
from lab.records import Document, Pin, Records, Sample, Task, TaskStatus, ended_attempt, new_id, new_task, now
from lab.refusals import ConflictError, NotFoundError

pytestmark = pytest.mark.system

COMMITTED, EDITED = "TEMPERATURE = 900\n", "TEMPERATURE = 850  # not committed\n"
NO_PACKAGES = Environment("cp311", ())


class Bench:
    """A laboratory's records and store, and a repository whose code it runs."""

    def __init__(self, database: Database[Document], folder: Path) -> None:
        self.records = Records(database)
        self.catalog = Catalog(self.records)
        self.generations = Generations(database)
        self.store = Store(folder / "store")
        self.provenance = Provenance(self.records, self.catalog, self.generations, self.store)
        self.package = folder / "my_lab"
        self.package.mkdir()
        (self.package / "__init__.py").write_text(COMMITTED)
        with git.Repo.init(folder) as repo, repo.config_writer() as config:
            config.set_value("user", "name", "Ann").set_value("user", "email", "ann@example.org")
            repo.index.add(["my_lab/__init__.py"])
            repo.index.commit("Heat")

    def go_live(self, text: str, heating: str = "heating 1", driver: str = "driver 1") -> Pin:
        """Save a text, freeze it as it is on disk, and make it current, with these digests of its code."""
        (self.package / "__init__.py").write_text(text)
        snapshot = self.store.freeze(TreeSource(self.package), NO_PACKAGES)
        self.catalog.put(described(snapshot.id, heating, driver))
        origin = snapshot.origin
        facts = {"snapshot": snapshot.id, "commit": origin.commit, "author": origin.author, "message": origin.message}
        self.records.refreshes.insert_one({"_id": new_id(), **facts})
        return self.promote(snapshot)

    def promote(self, snapshot: Snapshot) -> Pin:
        current = self.generations.current()
        generation = self.generations.promote(
            snapshot.id,
            expected=current.number if current else None,
            commit=snapshot.origin.commit,
            dirty=snapshot.origin.dirty,
            environment=snapshot.environment.digest,
            actor="test",
            reason="test",
        )
        return Pin(
            snapshot=snapshot.id,
            generation=generation.number,
            commit=generation.commit,
            dirty=generation.dirty,
            environment=generation.environment,
        )

    def commit(self, author: str, message: str) -> None:
        """Commit the files as they are."""
        with git.Repo(self.package.parent) as repo:
            repo.index.add(["my_lab/__init__.py"])
            repo.index.commit(message, author=git.Actor(author, f"{author.lower()}@example.org"))

    def sample(self, name: str) -> str:
        identifier = new_id()
        self.records.samples.insert_one(
            Sample(_id=identifier, name=name, experiment="e", position=None, tags=[], metadata={}, history=[])
        )
        return identifier

    def heat(self, pin: Pin, *samples: str, **changes: Any) -> str:
        """A task that has ended, and called its furnace."""
        task: Task = new_task("Heating", {"minutes": 5}, samples=list(samples), experiment="e")
        claim = {"worker": "w", "token": "t", "at": now()}
        ran: Document = {"status": TaskStatus.COMPLETED, "pin": pin, "attempt": 1, "claim": claim, "started_at": now()}
        ran["attempts"] = [ended_attempt(1, pin, "w", ran["started_at"], TaskStatus.COMPLETED)]
        self.records.tasks.insert_one({**task, **ran, **changes})  # type: ignore[arg-type]
        digest = self.catalog.get(pin["snapshot"]).drivers["furnace"]
        self.records.calls.insert_one({"task": task["_id"], "device": "furnace", "digest": digest, **pin})
        return task["_id"]


def described(snapshot: str, heating: str, driver: str) -> Definitions:
    return Definitions(
        snapshot=snapshot,
        package="my_lab",
        devices={"furnace": {"class": "my_lab:Furnace"}},
        tasks={"Heating": {"class": "my_lab:Heating"}},
        positions=[],
        drivers={"furnace": driver},
        code={"Heating": heating},
    )


@pytest.fixture
def bench(database: Database[Document], tmp_path: Path) -> Bench:
    return Bench(database, tmp_path)


def test_from_a_sample_to_the_edited_bytes_that_made_it(bench: Bench, tmp_path: Path) -> None:
    pin = bench.go_live(EDITED)
    sample = bench.sample("s1")
    task = bench.heat(pin, sample)
    bench.go_live(COMMITTED)
    (made,) = bench.provenance.blame("s1")["tasks"]
    assert {name: made[name] for name in pin} == pin
    assert made["dirty"] is True
    assert (made["task"], made["author"], made["message"]) == (task, "Ann <ann@example.org>", "Heat")
    assert (made["parameters"], made["attempt"], made["outcome"]) == ({"minutes": 5}, 1, "COMPLETED")
    checkout(bench.store, made["snapshot"], tmp_path / "as-it-ran")
    assert (tmp_path / "as-it-ran" / "my_lab" / "__init__.py").read_text() == EDITED


def test_each_attempt_is_told_with_the_code_it_ran(bench: Bench) -> None:
    first, second = bench.go_live(COMMITTED), bench.go_live(EDITED)
    lost = ended_attempt(1, first, "w", now(), TaskStatus.LOST)
    bench.heat(second, bench.sample("s1"), attempt=2, attempts=[lost], status=TaskStatus.RUNNING)
    told = bench.provenance.blame("s1")
    assert [(each["attempt"], each["outcome"], each["snapshot"]) for each in told["tasks"]] == [
        (1, "LOST", first["snapshot"]),
        (2, "RUNNING", second["snapshot"]),
    ]
    assert [each["snapshot"] for each in told["versions"]] == [first["snapshot"], second["snapshot"]]


def test_the_same_files_in_two_commits_are_told_with_the_author_of_each(bench: Bench) -> None:
    first = bench.go_live(EDITED)
    bench.commit("Bob", "Keep the edit")
    bench.go_live(COMMITTED)
    second = bench.go_live(EDITED)
    for pin in (first, second):
        bench.heat(pin, bench.sample(f"of generation {pin['generation']}"))
    told = {pin["generation"]: bench.provenance.blame(f"of generation {pin['generation']}") for pin in (first, second)}
    assert first["snapshot"] == second["snapshot"]
    made = {number: each["tasks"] + each["versions"] for number, each in told.items()}
    assert {(each["author"], each["message"], each["dirty"]) for each in made[1]} == {
        ("Ann <ann@example.org>", "Heat", True)
    }
    assert {(each["author"], each["message"], each["dirty"]) for each in made[3]} == {
        ("Bob <bob@example.org>", "Keep the edit", False)
    }


def test_a_task_that_no_worker_began_made_nothing(bench: Bench) -> None:
    pin = bench.go_live(COMMITTED)
    bench.heat(pin, bench.sample("s1"), claim=None, attempts=[], status=TaskStatus.CANCELLED)
    assert bench.provenance.blame("s1")["tasks"] == []
    assert [sample["made_by"] for sample in bench.provenance.samples(pin["snapshot"])] == []


def test_since_names_the_task_types_the_drivers_and_the_files_that_changed(bench: Bench) -> None:
    pin = bench.go_live(COMMITTED)
    bench.heat(pin, bench.sample("s1"))
    bench.heat(pin, bench.sample("s2"))
    bench.go_live(EDITED, heating="heating 2", driver="driver 2")
    since = bench.provenance.blame("s1", since=True)["since"]
    where = {"what": "changed", "snapshot": pin["snapshot"], "generation": 1}
    assert since["current"]["generation"] == 2
    assert since["tasks"] == [{"type": "Heating", "class": "my_lab:Heating", **where}]
    assert since["drivers"] == [{"device": "furnace", "class": "my_lab:Furnace", **where}]
    assert [files["changed"] for files in since["files"]] == [["my_lab/__init__.py"]]


def test_since_names_only_code_that_behaves_differently(bench: Bench) -> None:
    bench.heat(bench.go_live(COMMITTED), bench.sample("s1"))
    bench.go_live(COMMITTED + "# a comment\n", driver="driver 2")
    since = bench.provenance.blame("s1", since=True)["since"]
    assert since["tasks"] == []
    assert [each["device"] for each in since["drivers"]] == ["furnace"]


def test_since_tells_of_a_task_type_and_a_device_that_are_gone(bench: Bench) -> None:
    bench.heat(bench.go_live(COMMITTED), bench.sample("s1"))
    newest = bench.go_live(EDITED)["snapshot"]
    bench.catalog.put(replace(described(newest, "", ""), drivers={}, code={}))
    since = bench.provenance.blame("s1", since=True)["since"]
    assert [each["what"] for each in since["tasks"] + since["drivers"]] == ["removed", "removed"]


def test_a_collected_version_is_told_in_a_sentence_and_still_compared(bench: Bench) -> None:
    pin = bench.go_live(EDITED)
    bench.heat(pin, bench.sample("s1"))
    current = bench.go_live(COMMITTED, heating="heating 2")
    bench.store.collect({current["snapshot"]: "current"}, Retention(keep_last=0, keep_days=0, grace_seconds=0))
    bench.records.log("version.collected", pin["snapshot"], reason="nothing refers to it", size=1)
    told = bench.provenance.blame("s1", since=True)
    assert pin["commit"] is not None
    expected = (
        f"Code version {pin['snapshot'][:12]} was collected on {now():%Y-%m-%d}; "
        f"git may still have its commit {pin['commit'][:8]}, without the edits that were not committed."
    )
    assert [each["collected"] for each in told["versions"]] == [expected]
    assert [each["missing"] for each in told["since"]["files"]] == [expected]
    assert [each["type"] for each in told["since"]["tasks"]] == ["Heating"]


def test_the_samples_of_a_version_are_found_by_the_beginning_of_its_id(bench: Bench) -> None:
    first = bench.go_live(COMMITTED)
    one, both = bench.sample("one"), bench.sample("both")
    bench.heat(first, one, both)
    second = bench.go_live(EDITED)
    bench.heat(second, both)
    bench.sample("none")
    names = {
        pin["generation"]: sorted(sample["name"] for sample in bench.provenance.samples(pin["snapshot"][:12]))
        for pin in (first, second)
    }
    assert names == {1: ["both", "one"], 2: ["both"]}
    listed = {sample["name"]: sample["made_by"] for sample in bench.provenance.samples()}
    assert {name: [each["generation"] for each in made] for name, made in listed.items()} == {
        "one": [1],
        "both": [1, 2],
        "none": [],
    }
    assert {name: listed["one"][0][name] for name in first} == first


def test_what_does_not_exist_or_is_ambiguous_is_told_in_a_sentence(bench: Bench) -> None:
    bench.heat(bench.go_live(COMMITTED))
    with pytest.raises(NotFoundError, match=r"^There is no sample 's9'; `lab samples` lists them\.$"):
        bench.provenance.blame("s9")
    with pytest.raises(NotFoundError, match=r"^No task ran a code version 'zz'; `lab versions` lists them\.$"):
        bench.provenance.samples("zz")


def test_samples_of_one_name_are_told_apart_by_experiment_and_position(bench: Bench) -> None:
    twins = [bench.sample("twin"), bench.sample("twin")]
    told = ", ".join(rf"{twin} \(experiment e, in no position\)" for twin in reversed(twins))
    with pytest.raises(ConflictError, match=rf"^2 samples are called 'twin'; name one by its id: {told}\.$"):
        bench.provenance.blame("twin")
    assert bench.provenance.blame(twins[0])["tasks"] == []
    others = [bench.sample("twin") for _ in range(5)]
    with pytest.raises(ConflictError, match=rf"^7 samples .* id: {others[-1]} .* and 2 older ones\.$"):
        bench.provenance.blame("twin")
