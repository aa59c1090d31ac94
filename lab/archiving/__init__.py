"""Experiments that have ended, in a database of their own; and what leaves the lab's for being old."""
