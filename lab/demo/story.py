"""The story in nine steps. Each step claims what it tells; what the end must look like is kept in the expectations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from hotswap.process import Identity
from lab.client import ClientError
from lab.demo import changes
from lab.demo.claims import StoryError, claim
from lab.demo.facts import SHORT
from lab.demo.stage import Stage, Tasks

FURNACES: Final = ("furnace_1", "furnace_2", "furnace_3", "furnace_4")
OTHER_DEVICES: Final = ("balance", "powder_doser", "robot_arm", "xrd")

# Temperature (degrees C), minutes at it, ramp (degrees C per minute). Ten minutes pass in a second.
Heating: TypeAlias = tuple[float, float, float]
BRIEF: Final[Heating] = (150.0, 2.0, 50.0)
MEDIUM: Final[Heating] = (250.0, 10.0, 50.0)

ROLLED_BACK_TO: Final = 3
SAME_ENERGY: Final = 0.02


class Story:
    """Told in the order of ``steps``; each is a title and what happens.

    ``launch_seconds`` tells how fast this machine is: some heatings have to outlast what happens meanwhile.
    """

    def __init__(self, stage: Stage, launch_seconds: float) -> None:
        self._stage = stage
        self._outlasting: Heating = (500.0, 14.0 * launch_seconds, 20.0)
        self._lab = stage.lab
        self._long = ""
        self._across = ""
        self._energy_kwh = 0.0
        self.rollback_seconds = 0.0
        self.steps: list[tuple[str, Callable[[], None]]] = [
            ("A long heating runs on the first code", self._start),
            ("The heating task changes while one runs", self._change_a_task),
            ("The furnace driver changes while a furnace is occupied", self._change_a_driver),
            ("A data file changes, then a helper module", self._change_data_and_helper),
            ("A new device and a new task type, used without a restart", self._add_device_and_task),
            ("A syntax error is committed", self._commit_a_syntax_error),
            ("Back to an earlier generation with one command", self._roll_back),
            ("A worker and the managers are killed in the middle of a task", self._kill),
        ]

    def _start(self) -> None:
        stage = self._stage
        first = stage.wait("generation 1", self._lab.generations.current)
        stage.expected.live(self._lab.repository.head().hash)
        claim(first.number == 1, f"The first generation is {first.number}, not 1.")
        stage.expected.connected([*FURNACES, *OTHER_DEVICES])
        stage.devices_settle()
        stage.say(
            f"generation 1 (commit {(first.commit or '')[:SHORT]}) is live, {len(stage.expected.devices)} devices"
        )
        self._long = stage.heat("long heating", *self._outlasting)
        furnace = stage.heats(self._long)
        stage.say(f"the long heating runs on {furnace['_id']}, pinned to generation 1")

    def _change_a_task(self) -> None:
        stage = self._stage
        stage.go_live(changes.UNLOADING_TEMPERATURE)
        result = stage.completed(stage.heat("heating with the new code", *BRIEF))
        stage.at_work(self._long)
        claim("unloaded_at_c" in result, f"The new heating should tell its unloading temperature, it told {result}.")
        self._energy_kwh = result["energy_kwh"]
        stage.say(f"generation 2 made {result}")
        stage.say("the long heating still runs, pinned to generation 1")

    def _change_a_driver(self) -> None:
        stage = self._stage
        occupied = stage.heats(self._long)["_id"]
        stage.go_live(changes.FASTER_RAMP)
        stage.expected.connected(FURNACES)
        stage.devices_settle(but=[occupied])
        self._claim_still_connected(occupied)
        stage.say(f"the idle furnaces have the new driver; {occupied} keeps the old one while it heats")
        temperature_c, minutes, _ = BRIEF
        fast = stage.heat("heating with the new driver", temperature_c, minutes, changes.FASTER_RAMP_C_PER_MINUTE)
        stage.completed(fast)
        stage.say(
            f"the new driver ramped at {changes.FASTER_RAMP_C_PER_MINUTE:g} °C per minute, the old one refuses that"
        )
        result = stage.completed(self._long)
        claim("unloaded_at_c" not in result, f"Generation 1 cannot tell an unloading temperature, but told {result}.")
        stage.say(f"generation 1 made {result}")
        stage.devices_settle()
        self._claim_rebound_after_use(occupied)
        stage.say(f"{occupied} was rebound after its release; {', '.join(OTHER_DEVICES)} were never disconnected")

    def _claim_still_connected(self, furnace: str) -> None:
        self._stage.at_work(self._long)
        device = self._device(furnace)
        binding = device["binding"]
        claim(
            device["connects"] == 1 and device["holder"] == self._long and binding and binding["generation"] == 1,
            f"{furnace} was rebound while a task held it.",
        )

    def _claim_rebound_after_use(self, furnace: str) -> None:
        last = self._lab.records.calls.find_one({"task": self._long, "device": furnace}, sort=[("at", -1)])
        assert last is not None, furnace
        binding = self._device(furnace)["binding"]
        claim(binding and last["at"] < binding["bound_at"], f"{furnace} was rebound before its task's last call to it.")

    def _change_data_and_helper(self) -> None:
        stage = self._stage
        plan = stage.go_live(changes.NEW_LINE)
        stage.expected.connected(["xrd"])
        _claim_touched(plan, "changed", tasks=["Characterising"], devices=["xrd"])
        (scan,) = stage.submit("scan with new reference data", [("Characterising", {})])
        peaks = stage.completed(scan)["sample"]["peaks"]
        near = [peak for peak in peaks if abs(peak["two_theta"] - changes.NEW_LINE_DEGREES) < 0.3]
        claim(near, f"The line at {changes.NEW_LINE_DEGREES} degrees was not found; the scan used the old data.")
        stage.say(f"only xrd and Characterising depend on the data; they find the new line: {near[0]}")
        plan = stage.go_live(changes.DRYING)
        stage.expected.connected(FURNACES)
        _claim_touched(plan, "changed", tasks=["Heating"], devices=FURNACES)
        result = stage.completed(stage.heat("heating with drying", *BRIEF))
        claim(result["energy_kwh"] > self._energy_kwh * (1 + SAME_ENERGY), f"Drying took no energy: {result}.")
        stage.say(
            "only the furnaces and Heating depend on the helper; "
            f"drying takes {result['energy_kwh']} kWh instead of {self._energy_kwh}"
        )
        stage.devices_settle()

    def _add_device_and_task(self) -> None:
        stage = self._stage
        plan = stage.go_live(changes.NEW_DEVICE_AND_TASK)
        stage.expected.connected([changes.MILL])
        _claim_touched(plan, "added", tasks=["Milling"], devices=[changes.MILL])
        _claim_touched(plan, "changed", tasks=[], devices=[])
        tasks: Tasks = [("Dosing", {"powder": "quartz", "mass_mg": 250}), ("Milling", {"minutes": 10.0})]
        result = [stage.completed(task) for task in stage.submit("dose and mill", tasks)][-1]
        claim(0 < result["grain_um"]["sample"] < 100, f"The mill did not grind: {result}.")
        stage.say(f"the new task used the new device: {result}")
        stage.devices_settle()

    def _commit_a_syntax_error(self) -> None:
        stage = self._stage
        timing, refresh = stage.commit(changes.SYNTAX_ERROR)
        path, line = changes.HEATING, self._lab.repository.line_of(changes.HEATING, changes.BROKEN_LINE)
        claim(timing.outcome == "rejected", f"The syntax error ended as {timing.outcome}, not rejected.")
        claim(
            (refresh["path"], refresh["line"]) == (path, line),
            f"The syntax error is in {path}, line {line}, not in {refresh['path']}, line {refresh['line']}.",
        )
        stage.say(f"rejected: {refresh['error']}")
        tasks: Tasks = [
            ("Dosing", {"powder": "corundum", "mass_mg": 100}),
            ("Moving", {"destination": "table"}),
            ("Ending", {}),
        ]
        for task in stage.submit("work goes on", tasks):
            stage.completed(task)
        stage.say(f"the lab goes on with generation {stage.expected.newest.number}")
        timing, _ = stage.commit(changes.CORRECTION)
        claim(timing.outcome == "unchanged", f"The corrected code is current already, but ended as {timing.outcome}.")
        stage.say("the correction is the code that is current anyway: nothing to do")

    def _roll_back(self) -> None:
        stage = self._stage
        self._across = stage.heat("heating across the rollback", *self._outlasting)
        occupied = stage.heats(self._across)["_id"]
        before, began = stage.expected.newest.number, datetime.now(UTC)
        facts = self._lab.ask("rollback", str(ROLLED_BACK_TO))
        stage.expected.live(stage.expected.generations[str(ROLLED_BACK_TO)].commit, ROLLED_BACK_TO)
        stage.expected.connected([*FURNACES, "xrd"])
        current = self._lab.generations.get(facts["generation"])
        self.rollback_seconds = (current.activated_at - began).total_seconds()
        stage.say(
            f"`lab rollback {ROLLED_BACK_TO}`: generation {current.number} has the code of generation "
            f"{ROLLED_BACK_TO}, live {self.rollback_seconds:.2f} s after the command"
        )
        result = stage.completed(stage.heat("heating after the rollback", *BRIEF))
        claim(
            abs(result["energy_kwh"] / self._energy_kwh - 1) < SAME_ENERGY,
            f"Without drying this heating takes {self._energy_kwh} kWh, not {result['energy_kwh']}.",
        )
        stage.say(f"no drying any more: {result}")
        self._claim_milling_is_refused()
        stage.devices_settle(but=[occupied, changes.MILL])
        stage.at_work(self._across)
        stage.say(f"the heating on {occupied} still runs generation {before}")

    def _claim_milling_is_refused(self) -> None:
        try:
            self._lab.submit({"name": "too late", "tasks": [{"type": "Milling"}]})
        except ClientError as error:
            claim(400 <= error.status < 500, f"The lab refused Milling with status {error.status}: {error}")
            self._stage.say(f"a Milling task is refused now: {error}")
        else:
            raise StoryError("A Milling task was accepted by code that does not have it.")

    def _kill(self) -> None:
        stage = self._stage
        heating, ending = stage.submit("interrupted heating", [("Heating", _parameters(MEDIUM)), ("Ending", {})])
        stage.heats(heating)
        self._kill_managers_and_worker_of(heating)
        lost = stage.lost(heating)
        stage.at_work(self._across)
        stage.say(
            f"the interrupted heating is LOST, still pinned to generation {lost['pin'] and lost['pin']['generation']}"
        )
        self._lab.ask("retry", heating)
        stage.expected.lost_once(heating)
        stage.completed(heating)
        stage.completed(ending)
        stage.say("retried with the same code, it is completed, and so is the task after it")
        result = stage.completed(self._across)
        stage.say(f"the heating that nobody touched ran through all of it, once: {result}")
        stage.expected.retired(changes.MILL)
        stage.devices_settle()

    def _kill_managers_and_worker_of(self, task_id: str) -> None:
        stage = self._stage
        managers = self._lab.managers()
        holder = stage.at_work(task_id)["claim"]
        worker = self._lab.records.workers.find_one({"_id": holder["worker"]}) if holder else None
        if managers is None or worker is None:
            raise StoryError("There are no managers or no worker to kill.")
        victim = Identity.from_dict(worker["identity"])
        managers.kill()
        victim.kill()
        stage.say(f"SIGKILL to the managers (process {managers.pid}) and to the worker (process {victim.pid})")
        back = stage.wait("the managers to come back", lambda: _other_than(managers, self._lab.managers()))
        stage.say(f"the managers are back (process {back.pid})")

    def _device(self, name: str) -> Any:
        return self._lab.records.devices.find_one({"_id": name})


def _claim_touched(plan: Any, how: str, *, tasks: Any, devices: Any) -> None:
    for kind, should in (("tasks", tasks), ("devices", devices)):
        found = plan[kind][how]
        claim(found == list(should), f"The commit should have {how} the {kind} {list(should)}, not {found}.")


def _parameters(heating: Heating) -> dict[str, Any]:
    return dict(zip(("temperature_c", "minutes", "ramp_c_per_minute"), heating, strict=True))


def _other_than(before: Identity, now: Identity | None) -> Identity | None:
    return None if now == before else now
