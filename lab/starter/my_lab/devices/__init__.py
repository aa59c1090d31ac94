"""The drivers of this laboratory, one per module."""

from .balance import Balance
from .diffractometer import Diffractometer
from .furnace import Furnace
from .powder_doser import PowderDoser
from .robot_arm import RobotArm

__all__ = ["Balance", "Diffractometer", "Furnace", "PowderDoser", "RobotArm"]
