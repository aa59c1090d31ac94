"""``hotswap worker``: a plain dramatiq project whose code changes while it runs, with nothing but a broker.

``supervisor`` follows the code and promotes; ``live`` keeps a process for every version that still has messages;
``process`` is such a process; ``collecting`` gathers the actors when a version is imported; ``folder`` is where all of
it runs; ``stopping`` ends what is there.
"""
