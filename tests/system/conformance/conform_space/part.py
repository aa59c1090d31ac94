"""A part of a namespace package that is frozen beside the package."""

VERSION = "v1"
