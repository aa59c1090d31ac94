"""Versions of code: freeze, run side by side, cut over."""
