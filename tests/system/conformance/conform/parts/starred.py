__all__ = ["STARRED"]

STARRED = "v1"
HIDDEN = "hidden"
