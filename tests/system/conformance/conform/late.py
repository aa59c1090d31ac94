"""Points that are about imports at run time take this module out of ``sys.modules`` first."""

VERSION = "v1"
