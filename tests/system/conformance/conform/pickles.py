"""Objects that are written and read back, here or elsewhere."""

import copy
import io
import pickle

import cloudpickle
import dill

from conform import agreed
from conform.parts import value

VERSION = "v1"

ELSEWHERE = b"cconform.pickles\nSample\n(tR."
"""A pickle from a process that knew nothing of versions: it names the class plainly, and has it called."""


class Sample:
    def __init__(self):
        self.version = VERSION
        self.kind = type(self)
        self.tell = value.word


def told():
    return VERSION


def _through(write, read):
    """Functions, classes and objects, by name and by value, there and back."""
    sample, function, kind = read(write((Sample(), told, value.Holder.Inner)))
    assert type(sample) is Sample
    assert function is told
    assert kind is value.Holder.Inner
    return agreed(sample.version, sample.tell(), function(), kind.version)


def pickle_roundtrip():
    return agreed(
        *(
            _through(lambda each, protocol=protocol: pickle.dumps(each, protocol), pickle.loads)
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        )
    )


def pickle_plain_name_stream():
    return agreed(pickle.loads(ELSEWHERE).version, pickle.Unpickler(io.BytesIO(ELSEWHERE)).load().version)


def dill_roundtrip():
    by_name = _through(dill.dumps, dill.loads)
    by_value = dill.loads(dill.dumps(lambda: VERSION))
    return agreed(by_name, by_value())


def dill_function_recurse():
    """Only what the function refers to travels with it, and the rest is of this version."""

    def outer():
        from conform.late import VERSION as late

        return [VERSION, value.word(), late]

    return agreed(*dill.loads(dill.dumps(outer, recurse=True))())


def cloudpickle_roundtrip():
    def by_value():
        from conform.late import VERSION as late

        return [VERSION, value.word(), late]

    by_name = _through(cloudpickle.dumps, pickle.loads)
    return agreed(by_name, *pickle.loads(cloudpickle.dumps(by_value))())


def copy_deepcopy():
    sample, again = copy.copy(Sample()), copy.deepcopy([Sample()])[0]
    assert type(again) is type(sample) is again.kind is Sample
    return agreed(sample.version, again.version, again.tell())
