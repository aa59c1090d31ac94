"""Imports what it offers when it is asked for it (PEP 562)."""

from importlib import import_module


def __getattr__(name):
    if name == "word":
        return import_module("conform.parts.value").word
    raise AttributeError(name)


def __dir__():
    return ["word"]
