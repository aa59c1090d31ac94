"""Plays an installed library: it loads what it is told by name, and keeps registers of what others define."""

import queue
import threading
from importlib import import_module

REGISTER = {}


class Base:
    """Knows its subclasses, as Python keeps them, and by their names, as plug-in systems do."""

    by_name = {}  # noqa: RUF012

    def __init_subclass__(cls):
        if cls.__name__ in Base.by_name:
            raise TypeError(f"{cls.__name__} is registered already")
        Base.by_name[cls.__name__] = cls


def register(name):
    def keep(function):
        if name in REGISTER:
            raise ValueError(f"{name} is registered already")
        REGISTER[name] = function
        return function

    return keep


def load(where):
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


class Loader:
    """Loads in a thread of its own, which the first request starts."""

    def __init__(self):
        self._wanted = queue.SimpleQueue()
        self._found = queue.SimpleQueue()
        self._thread = None

    def load(self, where):
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._wanted.put(where)
        return self._found.get(timeout=10)

    def _run(self):
        while True:
            self._found.put(load(self._wanted.get()))


LOADER = Loader()
