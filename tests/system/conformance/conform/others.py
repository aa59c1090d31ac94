"""Libraries that are installed once, and call back into the package or keep what it registers."""

import dramatiq
import playlib
from dramatiq.brokers.stub import StubBroker

from conform import agreed
from conform.late import VERSION as LATE

VERSION = "v1"

broker = StubBroker()
_answers = []


@dramatiq.actor(broker=broker, actor_name="measure", queue_name="conform")
def measure(what):
    from conform.late import VERSION as late

    _answers.append((what, agreed(VERSION, late)))


class Furnace(playlib.Base):
    version = VERSION


@playlib.register("furnace")
def furnace():
    return VERSION


def thirdparty_import_same_stack():
    return agreed(playlib.load("conform.parts.value:VERSION"), playlib.load("conform.late:VERSION"))


def thirdparty_import_own_thread():
    return playlib.LOADER.load("conform.parts.value:VERSION")


def dramatiq_actor():
    """Declared under a plain name, and run by a worker from a message that has nothing but the name."""
    assert broker.get_actor("measure") is measure
    worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
    worker.start()
    try:
        broker.enqueue(dramatiq.Message("conform", "measure", ("heat",), {}, {}))
        broker.join("conform", timeout=10_000)
        worker.join()
    finally:
        worker.stop()
    assert {what for what, _ in _answers} == {"heat"}
    return agreed(*(version for _, version in _answers), LATE)


def subclasses_of_thirdparty():
    return agreed(*(kind.version for kind in playlib.Base.__subclasses__()))


def thirdparty_name_registry():
    assert list(playlib.Base.by_name) == ["Furnace"]
    return agreed(playlib.REGISTER["furnace"](), playlib.Base.by_name["Furnace"].version)
