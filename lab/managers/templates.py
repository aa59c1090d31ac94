"""Templates of current code, told and expanded: the function runs in a fork of its template process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hotswap.errors import DescribeError
from lab.catalog import Definitions
from lab.experiments.parameters import complaint, did_you_mean, sentence
from lab.managers.examination import Ask
from lab.records import Document
from lab.refusals import ConflictError, NotFoundError, SubmissionError

HOOK: Final = "lab.experiments.templates:expand"


class Templates:
    """``current`` gives what current code defines; ``ask`` as the Examiner has it, None where there is no fleet."""

    def __init__(self, current: Callable[[], Definitions], ask: Ask | None) -> None:
        self._current = current
        self._ask = ask

    def listed(self) -> list[Document]:
        """Each with its name, description and the JSON schema of its parameters."""
        return [{"name": name, **facts} for name, facts in self._current().templates.items()]

    def expand(self, name: str, parameters: Document) -> Document:
        """The experiment that a template makes of parameters; nothing is stored.

        Raises NotFoundError, and SubmissionError when the template does not take them.
        """
        definitions = self._current()
        if name not in definitions.templates:
            hint = did_you_mean(name, definitions.templates)
            raise NotFoundError(sentence(f"There is no template {name!r}{hint}"))
        wrong = complaint(definitions.templates[name]["schema"], parameters)
        answer: Document = {"refused": wrong}
        if wrong is None:
            answer = self._expanded(definitions, name, parameters)
        if answer["refused"] is not None:
            raise SubmissionError(sentence(f"Template {name}: {answer['refused']}"))
        return dict(answer["experiment"])

    def _expanded(self, definitions: Definitions, name: str, parameters: Document) -> Document:
        if self._ask is None:
            raise ConflictError("Templates cannot be expanded without processes to do it in.")
        try:
            return self._ask(definitions.snapshot, HOOK, {"template": name, "parameters": parameters})
        except DescribeError as error:
            raise SubmissionError(f"Template {name} ended its process or passed a limit: {error}") from error
