"""A package that two versions exist of: in the other one, every "v1" in its files, also in their names, is "v2".

Each module but the plain parts holds points: functions that do one thing Python code does, and return the version
that it was done with. A point that sees several values returns all of them unless they agree.
"""

VERSION = "v1"


def agreed(*seen):
    return seen[0] if seen and all(each == seen[0] for each in seen) else list(seen)
