"""Processes that the package starts, and modules that are run as programs."""

import multiprocessing
import runpy
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from conform import VERSION, agreed, program


def look(_=None):
    """What a child sees: the version of what it has, of what it imports, and of the file it lies in."""
    from conform.late import VERSION as late

    return agreed(VERSION, late, (Path(__file__).parent / "data" / "word.txt").read_text().strip())


def tell(pipe):
    pipe.send(look())
    pipe.close()


def _in_process(method):
    context = get_context(method)
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=tell, args=(its,))
    process.start()
    its.close()
    told = mine.recv()
    process.join()
    assert process.exitcode == 0
    return told


def _printed(*arguments, **options):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def mp_spawn_process():
    return _in_process("spawn")


def mp_pool_spawn():
    with get_context("spawn").Pool(2) as pool:
        return agreed(*pool.map(look, range(4)))


def mp_fork_process():
    return _in_process("fork")


def main_guard():
    """What is behind the guard runs in no child that imports the module, and does when it is the program."""
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(program.ran) == []
    return agreed(_printed("-m", "conform.program"), program.VERSION)


def runpy_module():
    run = runpy.run_module("conform.program", run_name="not_main")
    by_path = runpy.run_path(str(Path(__file__).parent / "program.py"))
    return agreed(run["VERSION"], by_path["VERSION"])


def subprocess_dash_m():
    return _printed("-m", "conform.program")


# ---- beyond the list -------------------------------------------------------------------------------------------------


def mp_forkserver_process():
    return _in_process("forkserver")


def executor_spawn():
    return _in_executor("spawn")


def executor_fork():
    return _in_executor("fork")


def executor_forkserver():
    return _in_executor("forkserver")


def _in_executor(method):
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        return agreed(*pool.map(look, range(2)))


def mp_default_method():
    with multiprocessing.Pool(1) as pool:
        return pool.apply(look)


def executor_grandchild():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(subprocess_dash_m).result()


def dash_m_elsewhere(folder):
    """Started where another copy of the package lies, as the working tree of a lab is one."""
    return agreed(
        _printed("-m", "conform.program", cwd=folder),
        _printed("-c", "from conform import program; print(program.VERSION, end='')", cwd=folder),
    )


def script_elsewhere(script):
    """A program that is started by its path, and lies beside another copy of the package."""
    return _printed(script)


def runtime_in_child():
    """The modules of the runtime that a child loads: its own program is not the one of its parent."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(of_runtime)


def of_runtime():
    return sorted(name for name in sys.modules if name.partition(".")[0] == "hotswap")
