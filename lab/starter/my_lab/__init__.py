"""This laboratory: its devices, its tasks and the places where samples stand."""

from lab import SamplePosition, add_device, add_standalone_sample_position, add_task

from .devices import Balance, Diffractometer, Furnace, PowderDoser, RobotArm
from .tasks import Characterising, Dosing, Ending, Heating, Moving

# Simulated seconds per real second: ten minutes pass in one. Drivers of real hardware have no such argument.
SPEED_UP = 600.0

add_device(Furnace, name="furnace_1", speed_up=SPEED_UP)
add_device(Furnace, name="furnace_2", speed_up=SPEED_UP)
add_device(Furnace, name="furnace_3", speed_up=SPEED_UP)
add_device(Furnace, name="furnace_4", speed_up=SPEED_UP)
add_device(RobotArm, name="robot_arm", speed_up=SPEED_UP)
add_device(PowderDoser, name="powder_doser", speed_up=SPEED_UP)
add_device(Balance, name="balance", speed_up=SPEED_UP)
add_device(Diffractometer, name="xrd", speed_up=SPEED_UP)

add_standalone_sample_position(SamplePosition("table", number=16, description="work table beside the furnaces"))
add_standalone_sample_position(SamplePosition("storage", number=32, description="rack for finished samples"))

add_task(Dosing)
add_task(Moving)
add_task(Heating)
add_task(Characterising)
add_task(Ending)
