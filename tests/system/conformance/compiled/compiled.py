"""Extension modules that were compiled for the test, where there is a compiler."""

import copy
import pickle

from conform import agreed
from conform.native import multi_phase as of_package
from conform.native import single_phase

from .native import multi_phase


def multi_phase_module():
    assert multi_phase is of_package
    return agreed(multi_phase.version(), multi_phase.Sample().version())


def single_phase_module():
    return agreed(single_phase.version(), single_phase.Sample().version())


def type_pickle():
    """A static type of each of them is found again by the name that it tells."""
    found = []
    for module in (multi_phase, single_phase):
        again = pickle.loads(pickle.dumps(module.Sample))
        assert again is module.Sample
        found.append(copy.deepcopy(again)().version())
    return agreed(*found)


def imports_plain():
    return agreed(multi_phase.imports_plain(), single_phase.imports_plain())


def imports_level():
    return agreed(multi_phase.imports_level(), single_phase.imports_level())
