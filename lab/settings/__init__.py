"""The settings of a laboratory: what lab.toml may say, what the environment says in its place, and how it is told."""
