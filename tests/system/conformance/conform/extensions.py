"""Native code inside the package."""

import copy
import ctypes
import datetime
import io
import pickle

import conform
import conform.native
from conform import agreed
from conform.native import _decimal, _zoneinfo

conform.Decimal = _decimal.Decimal  # the name that the type itself tells


def cext_multiphase():
    """Initialised in two phases (PEP 489), and so a new module each time it is loaded."""
    from conform.native import _zoneinfo as again

    assert again is _zoneinfo is conform.native._zoneinfo
    assert _zoneinfo.__name__ == "conform.native._zoneinfo"
    return _zoneinfo.__doc__[:2]


def cext_singlephase():
    """Initialised in one phase: the interpreter keeps such a module, and gives it out again."""
    assert _decimal.Decimal("1.5") * 2 == 3
    return _decimal.__doc__[:2]


def cext_singlephase_type_pickle():
    """A static type, which says itself where it is to be found."""
    assert _decimal.Decimal.__module__ == "conform"
    number = _decimal.Decimal("1.5")
    again = pickle.loads(pickle.dumps(number))
    assert type(again) is type(copy.deepcopy(number)) is _decimal.Decimal
    assert again == number
    return agreed(_decimal.__doc__[:2], conform.VERSION)


def cext_imports_plain():
    """It imports a module of the package from C, and asks it for the content of a time zone."""
    zone = _zoneinfo.ZoneInfo.from_file(io.BytesIO(b"nothing"), key="made up")
    return datetime.datetime(2024, 1, 1, tzinfo=zone).tzname()


def cext_imports_level():
    """The call in which a relative import from C ends: no frame of Python tells who asks."""
    call = ctypes.pythonapi.PyImport_ImportModuleLevel
    call.restype = ctypes.py_object
    call.argtypes = [ctypes.c_char_p, ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int]
    found = call(b"parts.value", globals(), None, ["VERSION"], 1)
    return agreed(found.VERSION, call(b"late", vars(conform.native) | {}, None, ["VERSION"], 2).VERSION)
