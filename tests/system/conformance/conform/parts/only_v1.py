"""The other version has no module of this name, but one of its own."""

VERSION = "v1"
