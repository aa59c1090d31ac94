"""What the native module imports by name: it asks it for the content of a time zone."""

VERSION = "v1"


def find_tzfile(key):
    return None


def load_data(stream):
    """One kind of time, for ever, called after the version."""
    return (), (), (0,), (0,), (VERSION,), b""
