"""The kinds of work this laboratory does, one per module."""

from .characterising import Characterising
from .dosing import Dosing
from .ending import Ending
from .heating import Heating
from .moving import Moving

__all__ = ["Characterising", "Dosing", "Ending", "Heating", "Moving"]
