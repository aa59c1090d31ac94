"""Experiment templates of a lab package: functions that build an experiment from a few parameters."""

from __future__ import annotations

import logging
from typing import Any

from hotswap.errors import HotswapError
from lab.definitions import ParameterError, check_parameters, load, registry
from lab.experiments.builder import ExperimentBuilder

log = logging.getLogger(__name__)


def expand(package: str, template: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Call a template: ``{experiment, refused}``, one of which is None; ``refused`` is the end of a sentence.

    Runs the lab author's code, so call it in a process that can be thrown away.
    """
    load(package)
    function = registry.templates[template].function
    try:
        checked = check_parameters(function, parameters)
    except ParameterError as error:
        return _refused(error.reason)
    try:
        built = function(**checked)
    except HotswapError as error:
        return _refused(str(error).removesuffix("."))
    except Exception as error:
        # Broad: a lab author's code may raise anything. What it says is the answer, the log has where it was raised.
        log.warning("The template %s failed.", template, exc_info=True)
        return _refused(" ".join(f"{type(error).__name__}: {error}".split()).removesuffix("."))
    if not isinstance(built, ExperimentBuilder):
        return _refused(f"it returns {type(built).__name__} in place of an ExperimentBuilder")
    return {"experiment": built.to_dict(), "refused": None}


def _refused(reason: str) -> dict[str, Any]:
    return {"experiment": None, "refused": reason}
