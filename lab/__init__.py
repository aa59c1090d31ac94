"""The laboratory that runs on hotswap."""
