"""GitPython, imported so that plain folders can be frozen where there is no git program."""

from __future__ import annotations

import os

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # or the import itself raises, without a program to call

import git  # it reads the line above
import git.exc

__all__ = ["git"]
