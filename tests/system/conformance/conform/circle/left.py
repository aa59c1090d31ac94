from . import right

VERSION = "v1"


def around():
    return right.VERSION, right.other_side()
