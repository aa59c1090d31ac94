"""A module that can also be run."""

from conform.parts import value

VERSION = value.VERSION

_ran = []


def ran():
    return _ran


if __name__ == "__main__":
    _ran.append(VERSION)
    print(VERSION, end="")
