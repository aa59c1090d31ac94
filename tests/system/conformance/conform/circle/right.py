from conform.circle import left

VERSION = "v1"


def other_side():
    return left.VERSION
