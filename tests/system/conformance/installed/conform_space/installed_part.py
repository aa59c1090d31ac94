"""A part of the namespace package that is not frozen but installed."""

INSTALLED = True
