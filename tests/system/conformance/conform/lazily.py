"""Imports that happen while the code runs, in whichever thread, by whichever means."""

import asyncio
import builtins
import importlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module as load

from conform import agreed

_loader = importlib.import_module


def _unloaded():
    """Make the next import of ``conform.late`` execute it."""
    sys.modules.pop("conform.late", None)


def _late():
    from conform.late import VERSION

    return VERSION


def _in_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def lazy_same_thread():
    _unloaded()
    return _late()


def lazy_plain_thread():
    _unloaded()
    return _in_thread(_late)


def lazy_executor_thread():
    _unloaded()
    with ThreadPoolExecutor(4) as pool:
        return agreed(*pool.map(lambda _: _late(), range(8)))


def timer_later():
    found = []
    _unloaded()
    timer = threading.Timer(0.001, lambda: found.append(_late()))
    timer.start()
    timer.join()
    return found[0]


def import_module_abs():
    _unloaded()
    return importlib.import_module("conform.late").VERSION


def import_module_in_thread():
    _unloaded()
    return _in_thread(lambda: importlib.import_module("conform.late").VERSION)


def import_module_rel():
    _unloaded()
    return agreed(
        importlib.import_module(".late", __package__).VERSION, importlib.import_module(".late", "conform").VERSION
    )


def import_module_name_bound():
    """The function under other names, where no reader of the source would find it."""
    _unloaded()
    return agreed(load("conform.late").VERSION, _loader("conform.late").VERSION)


def dunder_import_call():
    _unloaded()
    root = __import__("conform.late")
    return agreed(root.late.VERSION, __import__("late", globals(), None, ["VERSION"], 1).VERSION)


def dunder_import_via_builtins():
    _unloaded()
    return getattr(builtins, "__import__")("conform.late", fromlist=["VERSION"]).VERSION  # noqa: B009


def exec_eval_strings():
    names = {}
    _unloaded()
    exec("from conform.late import VERSION", names)
    return agreed(names["VERSION"], eval("__import__('conform.late').late.VERSION"))


def exec_with_explicit_builtins():
    names = {"__builtins__": {"__import__": __import__}, "__name__": "made_up"}
    _unloaded()
    exec("from conform.late import VERSION", names)
    return names["VERSION"]


def asyncio_tasks():
    async def look():
        await asyncio.sleep(0)
        return _late()

    async def everybody():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(look(), look(), asyncio.to_thread(_late), loop.run_in_executor(None, _late))

    _unloaded()
    return agreed(*asyncio.run(everybody()))


def builtins_injected_later():
    from conform.parts import value

    builtins.conform_word = value.VERSION
    try:
        return value.injected()
    finally:
        del builtins.conform_word
