"""What is known about names of the language, its library and common scientific packages."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE_BUILTINS = words(
    """abs all any ascii bin bool bytearray bytes callable chr classmethod vars complex dict dir divmod enumerate
    float format frozenset getattr hasattr hash hex id int isinstance issubclass iter len list max memoryview min next
    object oct open ord pow print property range repr reversed round set slice sorted staticmethod str sum super tuple
    type zip ArithmeticError AssertionError AttributeError BaseException ConnectionError EOFError Exception
    FileNotFoundError ImportError IndexError KeyError KeyboardInterrupt LookupError NameError NotImplementedError
    OSError OverflowError PermissionError RuntimeError StopIteration SystemExit TimeoutError TypeError ValueError
    ZeroDivisionError"""
)
"""Builtins that change nothing but their result."""

PURE_LIBRARY = words(
    """abc collections datetime enum fractions itertools math numbers pathlib re statistics string struct
    textwrap types typing typing_extensions uuid cmath fnmatch ipaddress base64 binascii hashlib hmac
    zlib difflib secrets"""
)
"""Modules none of whose functions changes anything but its result."""

PURE_FUNCTIONS = words(
    """functools.lru_cache functools.cache functools.wraps functools.total_ordering functools.cached_property
    functools.singledispatch functools.singledispatchmethod functools.partialmethod functools.partial
    dataclasses.dataclass dataclasses.field dataclasses.replace dataclasses.asdict dataclasses.fields
    contextlib.contextmanager contextlib.asynccontextmanager contextlib.suppress contextlib.nullcontext
    logging.NullHandler logging.StreamHandler logging.Formatter
    os.getenv os.environ.get os.getcwd os.getpid os.cpu_count os.path.join os.path.dirname os.path.basename
    os.path.abspath os.path.exists os.path.realpath os.path.expanduser os.path.splitext os.path.isfile os.path.isdir
    os.listdir platform.system platform.machine platform.node platform.platform platform.python_version
    time.time time.monotonic time.perf_counter time.strftime time.localtime
    threading.Lock threading.RLock threading.Event threading.Condition threading.local threading.Semaphore
    queue.Queue json.load json.loads json.dumps csv.reader csv.DictReader tomllib.load tomllib.loads yaml.safe_load
    decimal.Decimal operator.attrgetter operator.itemgetter operator.methodcaller copy.copy copy.deepcopy
    pkgutil.iter_modules pkgutil.get_data importlib.resources.files importlib.resources.read_text
    importlib.metadata.version contextvars.ContextVar weakref.WeakKeyDictionary weakref.WeakValueDictionary
    numpy.array numpy.asarray numpy.arange numpy.linspace numpy.logspace numpy.geomspace numpy.zeros numpy.ones
    numpy.full numpy.eye numpy.diag numpy.loadtxt numpy.genfromtxt numpy.load numpy.concatenate numpy.stack
    numpy.vstack numpy.hstack numpy.sqrt numpy.exp numpy.log numpy.sin numpy.cos numpy.deg2rad numpy.rad2deg
    numpy.float64 numpy.float32 numpy.int64 numpy.int32 numpy.dtype numpy.empty numpy.interp numpy.polyfit
    numpy.mean numpy.sum numpy.prod numpy.cumsum numpy.dot numpy.cross numpy.random.default_rng
    pandas.read_csv pandas.DataFrame pandas.Series pandas.read_excel pandas.read_json pandas.Timedelta
    pydantic.Field pydantic.ConfigDict pydantic.create_model pydantic.field_validator pydantic.model_validator
    pydantic.validator pydantic.root_validator pydantic.TypeAdapter pydantic.field_serializer
    attr.s attr.ib attrs.define attrs.frozen attrs.field"""
)
"""Functions that change nothing but their result, by their full names."""

IMPURE_FUNCTIONS = words(
    """re.sub re.subn re.purge types.new_class types.DynamicClassAttribute struct.pack_into collections.defaultdict
    itertools.accumulate itertools.dropwhile itertools.filterfalse itertools.groupby itertools.starmap
    itertools.takewhile abc.ABCMeta enum.EnumMeta enum.EnumType typing.get_type_hints
    typing_extensions.get_type_hints"""
)
"""Those of ``PURE_LIBRARY`` that call what they are given, or change it."""

KEEPING_FUNCTIONS = words(
    """functools.lru_cache functools.cache functools.wraps functools.total_ordering functools.cached_property
    functools.singledispatch functools.singledispatchmethod functools.partialmethod functools.partial
    functools.cmp_to_key dataclasses.dataclass dataclasses.field contextlib.contextmanager
    contextlib.asynccontextmanager contextlib.suppress contextlib.nullcontext
    collections.namedtuple collections.deque collections.OrderedDict collections.ChainMap
    types.MethodType types.SimpleNamespace types.MappingProxyType types.coroutine
    typing.cast typing.NewType typing.TypeVar typing.ParamSpec typing.NamedTuple typing.TypedDict typing.overload
    typing.final typing.runtime_checkable typing.override typing.no_type_check typing.get_args typing.get_origin
    typing.Annotated typing_extensions.override typing_extensions.deprecated abc.abstractmethod
    pydantic.Field pydantic.ConfigDict pydantic.field_validator pydantic.model_validator pydantic.validator
    pydantic.root_validator pydantic.field_serializer
    attr.s attr.ib attrs.define attrs.frozen attrs.field contextvars.ContextVar threading.Lock threading.RLock"""
)
"""Pure functions that call nothing of what they are given, or not before their result is used."""

ITERATORS = frozenset({"csv.reader", "csv.DictReader", "os.scandir", "re.finditer"})
"""Functions that hand out iterators, beside those of ``itertools``."""

PLAIN_MODULES = words(
    """abc attr attrs base64 binascii cmath dataclasses datetime decimal enum fnmatch fractions functools hashlib hmac
    ipaddress json logging math numbers numpy operator os.path pandas pathlib platform pydantic secrets statistics
    string textwrap time tomllib types typing typing_extensions uuid zlib yaml"""
)
"""Modules whose functions and classes make values that reading does not change."""

PLAIN_MAKERS = words(
    """collections.ChainMap collections.Counter collections.OrderedDict collections.deque collections.namedtuple
    collections.UserDict collections.UserList configparser.ConfigParser contextlib.nullcontext contextlib.suppress
    copy.copy copy.deepcopy copy.replace importlib.metadata.version importlib.resources.files
    importlib.resources.read_text os.cpu_count os.environ os.environ.get os.getcwd os.getenv os.getpid os.listdir
    pkgutil.get_data re.compile re.escape re.findall re.fullmatch re.match re.search re.split re.sub struct.Struct
    struct.calcsize struct.pack struct.unpack sys.argv sys.executable sys.platform sys.version_info threading.Condition
    threading.Event threading.Lock threading.RLock threading.Semaphore threading.local weakref.WeakKeyDictionary
    weakref.WeakSet weakref.WeakValueDictionary weakref.ref"""
)
"""Others that do, by their full names."""

STATE_MAKERS = ("numpy.random", "numpy.nditer", "os.path.walk")

PLAIN_BASES = words(
    """collections.OrderedDict collections.UserDict collections.UserList collections.abc collections.Counter"""
)

UNUSED_BY = words(
    """bool callable classmethod delattr getattr hasattr hash id isinstance issubclass len property repr staticmethod
    str super type vars dir"""
)
"""Builtins that use up nothing of what they are given."""

EVALUATING = frozenset({"typing.get_type_hints", "typing_extensions.get_type_hints"})
"""Functions that run annotations, which may name anything that their module names."""

UFUNCS = words(
    "numpy.sqrt numpy.exp numpy.log numpy.sin numpy.cos numpy.deg2rad numpy.rad2deg numpy.sum numpy.prod numpy.mean"
)
"""Functions that write to what they are given after the first argument."""

LOGGING_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})

LOGGED_BY = frozenset({"emit", "filter", "format", "formatMessage", "handle", "formatTime"})
"""Methods that logging calls for a record, on objects that any module may have given to it."""

HARMLESS_METHODS = words(
    """as_posix capitalize casefold copy count decode encode endswith exists expanduser format get
    index is_dir is_file isdigit isoformat items join joinpath keys ljust lower lstrip most_common partition
    read_bytes read_text replace resolve rjust rsplit rstrip split splitlines startswith strftime strip timestamp
    title debug info warning error exception critical tolist total_seconds translate upper values with_name
    with_suffix zfill"""
)
"""Methods of plain values (text, containers, paths) and of loggers that do not change them."""

CONTAINER_METHODS = words(
    """add append appendleft clear discard extend extendleft insert pop popleft popitem remove reverse
    setdefault sort update"""
)
"""Methods that change the container they are called on and nothing else."""

CHANGING_METHODS = CONTAINER_METHODS | words("__next__ __setitem__ put put_nowait send set write writelines")
"""Methods that change what they are called on, and may be handed over without being called."""

INHERITED_METHODS = words(
    """model_validate model_validate_json model_construct model_json_schema model_dump model_dump_json model_copy mro
    fromkeys from_bytes fromhex _make _replace _asdict"""
)
"""Methods that classes have from libraries and that change nothing but their result."""

SHARED_MAKERS = frozenset({"logging.getLogger"})
"""Functions that change nothing, but hand out objects that others may have too."""

ENUMERATIONS = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "ReprEnum"})
"""Classes whose members are made, by the code of the class, when they are subclassed."""

DYNAMIC_BUILTINS = frozenset({"exec", "eval", "compile", "__import__", "globals", "locals"})
"""Builtins whose effect cannot be read off the code."""

DYNAMIC_NAMES = frozenset({"__loader__", "__spec__", "__builtins__"})

DYNAMIC_ATTRIBUTES = words(
    """__subclasses__ __globals__ __builtins__ f_globals f_locals f_back tb_frame _getframe meta_path
    path_hooks settrace setprofile pythonapi py_object import_module resolve_name currentframe getmodule
    get_objects get_referrers spec_from_file_location module_from_spec exec_module load_module"""
)
"""Attributes that reach code by other ways than its name."""

DYNAMIC_MODULES = words(
    """importlib runpy imp zipimport pickle cPickle dill cloudpickle shelve gc code codeop
    pkg_resources pydoc builtins copyreg marshal joblib"""
)
"""Modules that reach code by text or by walking memory."""

NOT_DYNAMIC = ("importlib.resources", "importlib.metadata")

DYNAMIC_CHAINS = (
    "importlib.metadata.entry_points",
    "logging.config",
    "logging.setLogRecordFactory",
    "logging.setLoggerClass",
    "pkgutil.resolve_name",
    "pkgutil.walk_packages",
    "sys.addaudithook",
    "sys.modules",
)

SOURCE_ATTRIBUTES = words(
    """getsource getsourcelines findsource getsourcefile getcomments f_lineno co_firstlineno tb_lineno
    lineno co_positions co_lines"""
)
"""Attributes that tell where in its file a piece of code stands."""

HOOKS = words(
    """__init_subclass__ __set_name__ __class_getitem__ __prepare__ __mro_entries__ __pydantic_init_subclass__
    __get_pydantic_core_schema__ __get_validators__"""
)
"""Methods the language calls on a class when others subclass it or use it in their bodies."""

OPENERS = words(
    """open read_text read_bytes iterdir glob iglob rglob listdir scandir walk loadtxt genfromtxt fromfile
    read_csv read_excel read_json read_table read_parquet read_hdf read_feather read_pickle imread safe_load_file
    load_workbook open_dataset fopen"""
)
"""Functions and methods that read files."""


def pure(full_name: str) -> bool:
    """True when a call of this library function changes nothing but its result."""
    if full_name in IMPURE_FUNCTIONS or full_name.endswith(".register"):
        return False
    return full_name.partition(".")[0] in PURE_LIBRARY or full_name in PURE_FUNCTIONS


def dynamic_import(module: str) -> bool:
    """True when importing this library module means that code may be reached by text."""
    if module.startswith(DYNAMIC_CHAINS):
        return True
    return module.partition(".")[0] in DYNAMIC_MODULES and not module.startswith(NOT_DYNAMIC)


def plain(full_name: str) -> bool:
    """True when what this function or class of a library makes does not change by being read."""
    if full_name.startswith(STATE_MAKERS):
        return False
    first, _, rest = full_name.partition(".")
    return first in PLAIN_MODULES or f"{first}.{rest.partition('.')[0]}" in PLAIN_MODULES or full_name in PLAIN_MAKERS


def plain_base(full_name: str) -> bool:
    """True for a class of a library that gives its subclasses no state of their own."""
    return plain(full_name) or full_name.startswith(tuple(PLAIN_BASES))
