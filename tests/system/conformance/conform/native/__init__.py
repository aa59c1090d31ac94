"""Native libraries: copies of two that come with Python, in which some words were replaced."""
