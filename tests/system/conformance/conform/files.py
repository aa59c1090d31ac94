"""Data files, the contents of packages, namespace packages, and what the metadata tell."""

import importlib.metadata
import importlib.resources
import pkgutil
from pathlib import Path

import conform_space

import conform
import conform.late_space.leaf
import conform.parts
from conform import agreed, parts

ROOT = Path(__file__).parent


def _version_of(names):
    """The version that the one module named after it belongs to."""
    return agreed(*(name.rpartition("only_")[2] for name in names if "only_" in name))


def resources_plain_name():
    found = importlib.resources.files("conform").joinpath("data/word.txt")
    return agreed(found.read_text().strip(), importlib.resources.read_text("conform.data", "word.txt").strip())


def resources_package_obj():
    found = importlib.resources.files(conform) / "data" / "word.txt"
    with importlib.resources.as_file(found) as path:
        return path.read_text().strip()


def data_via_file():
    return (ROOT / "data" / "word.txt").read_text().strip()


def pkgutil_get_data_plain():
    return pkgutil.get_data("conform", "data/word.txt").decode().strip()


def pkgutil_walk_attr():
    return _version_of(found.name for found in pkgutil.walk_packages(parts.__path__, parts.__name__ + "."))


def pkgutil_walk_literal():
    return _version_of(found.name for found in pkgutil.walk_packages(conform.__path__, "conform."))


def pkgutil_iter_literal():
    return _version_of(found.name for found in pkgutil.iter_modules(conform.parts.__path__, "conform.parts."))


def pkgutil_resolve_name():
    return agreed(
        pkgutil.resolve_name("conform.parts.value:VERSION"),
        pkgutil.resolve_name("conform.parts.value:Holder.Inner.version"),
        pkgutil.resolve_name("conform.parts.value.VERSION"),
    )


def ns_subpackage():
    assert conform.late_space.__file__ is None
    return conform.late_space.leaf.VERSION


def ns_toplevel():
    """One part of it is frozen, another one installed."""
    from conform_space import installed_part, part

    assert conform_space.__file__ is None
    assert installed_part.INSTALLED
    return part.VERSION


def metadata_version_dist():
    """The version of a distribution that is called otherwise than what it holds."""
    assert importlib.metadata.packages_distributions()["conform_space"] == ["Conform-Tools"]
    version = importlib.metadata.version("conform_tools")
    return agreed(version, importlib.metadata.distribution("Conform-Tools").metadata["Version"]).partition("+")[2]


def metadata_version_package():
    version = importlib.metadata.version(__name__.partition(".")[0])
    assert version.startswith("1.0+")
    return version.partition("+")[2]
