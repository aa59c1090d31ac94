"""Every figure that the README states, measured: ``python -m benchmarks``, or ``make bench``."""
