from . import left as left
