"""What most points look at."""

VERSION = "v1"
PATCHED = "v1"


def word():
    return VERSION


def patched():
    return PATCHED


def injected():
    """A name that nobody defines here: somebody puts it into the builtins, as gettext does."""
    return conform_word  # noqa: F821


class Holder:
    version = "v1"

    class Inner:
        version = "v1"

        def tell(self):
            return self.version
