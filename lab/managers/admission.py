"""At submission: tasks are constructed and validated with current code before anything of an experiment is stored."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from hotswap.errors import HotswapError
from lab.experiments.parameters import sentence
from lab.experiments.submission import Submission
from lab.managers.examination import Examiner
from lab.records import Document, Examined
from lab.refusals import SubmissionError

PATIENCE_SECONDS: Final = 2.0
_AT_ONCE: Final = 4

log = logging.getLogger(__name__)


class Admission:
    """Without an ``examiner`` everything is admitted."""

    def __init__(self, examiner: Examiner | None) -> None:
        self._examiner = examiner
        self._asking = ThreadPoolExecutor(_AT_ONCE, "admission")

    def admit(self, submission: Submission, snapshot: str) -> None:
        """Note with each task that the code of ``snapshot`` takes it. Raises SubmissionError for the first it does not.

        When no answer comes in time, or the code dies over it, they are examined when they are dispatched.
        """
        if self._examiner is None:
            return
        names = {sample["_id"]: sample["name"] for sample in submission.samples}
        asked = self._asking.submit(self._examiner.objections, snapshot, submission.tasks, names)
        try:
            objections = asked.result(PATIENCE_SECONDS)
        except (HotswapError, TimeoutError) as error:
            log.warning("Experiment %s is not examined before it is stored: %s", submission.experiment["_id"], error)
            return
        for number, task in enumerate(submission.tasks):
            if task["_id"] in objections:
                raise _refusal(number, task["type"], objections[task["_id"]])
            task["examined"] = Examined(snapshot=snapshot, reason=None)

    def close(self) -> None:
        self._asking.shutdown(wait=False, cancel_futures=True)


def _refusal(number: int, kind: str, objection: Document) -> SubmissionError:
    field, reason = objection["field"], objection["reason"]
    where = f"parameter {field!r}: " if field and repr(field) not in reason else ""
    return SubmissionError(sentence(f"Task {number} ({kind}): {where}{reason}"))
