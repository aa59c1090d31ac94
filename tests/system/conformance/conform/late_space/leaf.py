"""Its folder has no ``__init__``: a namespace package below a plain one."""

VERSION = "v1"
