"""``python -m lab.demo``: a laboratory whose code changes while it runs, told in nine steps, unattended."""
