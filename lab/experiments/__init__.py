"""Experiments as people write them: as programs, files and templates; checked, and what became of them."""
