"""Runs the story in a folder of its own and leaves nothing behind, however it ends."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hotswap.errors import HotswapError
from lab.demo.claims import StoryError, claim
from lab.demo.expectations import CodeVersions, Expectations
from lab.demo.facts import read_devices, read_generations, read_tasks
from lab.demo.laboratory import Laboratory
from lab.demo.narration import Narrator
from lab.demo.report import show_devices, show_generations, show_tasks
from lab.demo.stage import Stage
from lab.demo.story import Story

INTERRUPTED = 130


def main() -> int:
    """The exit code: 0 when everything was as told, 1 when something was not, 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    narrator = Narrator()
    try:
        with tempfile.TemporaryDirectory(prefix="hotswap-demo-") as folder:
            run(Path(folder).resolve(), narrator)
    except HotswapError as error:
        narrator.fail(f"The demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        narrator.fail("Interrupted; everything was stopped.")
        return INTERRUPTED
    narrator.say(f"Everything was as told, nothing is left running; {narrator.elapsed():.1f} s in all.")
    return 0


def run(root: Path, narrator: Narrator) -> None:
    """Tell the whole story in an empty folder. Raises StoryError when something was not as told."""
    lab = Laboratory(root)
    with _cleared_away(lab, narrator):
        narrator.say(f"a laboratory of its own in {root}")
        lab.create()
        launching = narrator.elapsed()
        lab.launch()
        stage = Stage(lab, narrator, Expectations(CodeVersions(lab.folder, root / "control")))
        story = Story(stage, launch_seconds=narrator.elapsed() - launching)
        for number, (title, tell) in enumerate(story.steps, 1):
            narrator.step(number, title)
            tell()
        narrator.step(len(story.steps) + 1, "What the database says")
        report(stage, story.rollback_seconds)
        lab.stop()
        left = lab.processes()
        claim(not left, f"{len(left)} processes are left after the stop, the first is {left[:1]}.")


def report(stage: Stage, rollback_seconds: float) -> None:
    """Show the final table. Raises StoryError naming every figure in it that is wrong."""
    expected, console = stage.expected, stage.narrator.console
    tasks = read_tasks(stage.lab.records, {task: stage.names[task] for task in expected.tasks})
    devices = read_devices(stage.lab.records)
    generations = read_generations(stage.lab.generations)
    stage.feed.catch_up()
    show_tasks(console, tasks.values())
    show_devices(console, devices.values())
    show_generations(console, generations.values(), stage.timings, rollback_seconds)
    faults = [
        *expected.faults(tasks, devices, generations),
        *(fault for timing in stage.timings for fault in timing.faults()),
    ]
    if faults:
        raise StoryError(f"{len(faults)} figures are wrong: {'; '.join(faults)}.")


@contextmanager
def _cleared_away(lab: Laboratory, narrator: Narrator) -> Iterator[None]:
    try:
        yield
    finally:
        _ignore_interruptions()
        ended = lab.clear_away()
        if ended:
            narrator.say(f"ended what was still running: {len(ended)} processes")


def _ignore_interruptions() -> None:
    """Ending everything must not be interrupted itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
