VERSION = "v1"
TIMES = globals().get("TIMES", 0) + 1
