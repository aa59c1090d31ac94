"""A package of 200 modules, 23,000 lines, that a version process and a plain dramatiq worker can both run.

Most of the time of an import goes into data classes. It has as many for its lines as the starter lab, and so is about
as heavy as code that people write.
"""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Final

MODULES: Final = 200
PACKAGE: Final = "big_lab"
ENTRY: Final = f"{PACKAGE}.versioned:main"
PLAIN: Final = "plain_worker"
THIRD_PARTY: Final = ("dramatiq", "dramatiq.brokers.redis", "pydantic")
"""What the package imports of others; it is loaded already wherever an import of the package is timed."""

_UNITS: Final = 7

_MODULE: Final = Template('''\
"""Instruments of group $number."""

from __future__ import annotations

import logging
from dataclasses import dataclass

$neighbour
log = logging.getLogger(__name__)
REGISTRY: dict[str, type] = {}
''')

_DATA_CLASS: Final = Template('''

@dataclass
class Program$number:
    """What the instruments of group $number are told to do."""

    target: float
    speed: float = 1.0
    repeats: int = $number
    unit: str = "mm"
    note: str = ""

    def seconds(self) -> float:
        """How long it takes."""
        return self.repeats * abs(self.target) / self.speed
''')

_UNIT: Final = Template('''

class Instrument$number:
    """Number $number."""

    limits = {"low": $number, "high": $number * 10}

    def move(self, target: float, speed: float = 1.0) -> float:
        if not self.limits["low"] <= target <= self.limits["high"]:
            raise ValueError(f"{target} is out of range")
        return abs(target) / speed


REGISTRY["$number"] = Instrument$number
''')

_VERSIONED: Final = '''\
"""Takes messages of one version; the truth of what was done is a list at the broker."""

import redis

from hotswap.process import serve
from hotswap.routing import make_broker, start_worker


def main(context):
    url, queue = context.arguments["broker_url"], context.arguments["queue"]

    def work(answer):
        redis.Redis.from_url(url).rpush(answer, "done")

    broker = make_broker(url)
    consumer = start_worker(broker, queue, work, threads=2)
    serve(context, {}, idle=lambda: True)
    consumer.stop()
    broker.close()
'''

_PLAIN: Final = '''\
"""The same work for ``python -m dramatiq``."""

import os

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

import big_lab

URL = os.environ["BENCHMARK_BROKER_URL"]
dramatiq.set_broker(RedisBroker(url=URL))


@dramatiq.actor(queue_name=os.environ["BENCHMARK_QUEUE"])
def work(answer):
    redis.Redis.from_url(URL).rpush(answer, "done")
'''


def write(folder: Path, version: int = 0) -> Path:
    """Write the package below ``folder``; two versions differ in one module. Returns its path."""
    package = folder / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    names = [f"group_{number:03}" for number in range(MODULES)]
    (package / "__init__.py").write_text(f"from . import {', '.join(names)}\nVERSION = {version}\n")
    for number, name in enumerate(names):
        (package / f"{name}.py").write_text(_module(number))
    (package / "versioned.py").write_text(_VERSIONED)
    return package


def write_plain(folder: Path) -> None:
    """Write the module ``PLAIN``, a worker for ``python -m dramatiq`` that imports the package."""
    (folder / f"{PLAIN}.py").write_text(_PLAIN)


def _module(number: int) -> str:
    neighbour = f"from . import group_{number - 1:03}\n" if number else "import dramatiq\nimport pydantic\n"
    units = "".join(_UNIT.substitute(number=number * _UNITS + unit) for unit in range(_UNITS))
    data_class = _DATA_CLASS.substitute(number=number) if number % 2 else ""
    return _MODULE.substitute(number=number, neighbour=neighbour) + data_class + units
