"""What is too much, and which names are not portable: refused by name, on disk and in a commit alike."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap.errors import SourceError
from hotswap.limits import LIMITS, Limits
from hotswap.source import GitSource, TreeSource
from hotswap.source._rules import check_paths, check_total


def refusal(*paths: str, limits: Limits = LIMITS) -> str:
    with pytest.raises(SourceError) as refused:
        check_paths(paths, limits)
    return str(refused.value)


@pytest.mark.parametrize("character", ["\n", "\x00", "\x7f", "\x85", "\\", ":", "*", "?", '"', "<", ">", "|"])
def test_characters_that_some_systems_forbid_are_refused(character: str) -> None:
    path = f"my_lab/data/run{character}1.csv"
    told = refusal("my_lab/__init__.py", path)
    assert told.startswith(f"{path!r} cannot be frozen because its name has the character {character!r}")


@pytest.mark.parametrize("part", ["CON", "nul", "aux.py", "Com1.csv", "LPT9", "lpt\N{SUPERSCRIPT ONE}.txt", "con .x"])
def test_names_of_devices_are_refused(part: str) -> None:
    assert "means a device on Windows" in refusal(f"my_lab/{part}")
    assert "means a device on Windows" in refusal(f"my_lab/{part}/x.py")


@pytest.mark.parametrize("part", ["data.", "data ", "..."])
def test_a_dot_or_a_space_at_the_end_is_refused(part: str) -> None:
    assert "ends with a dot or a space" in refusal(f"my_lab/{part}")


@pytest.mark.parametrize("path", ["/etc/passwd", "my_lab//x.py", "my_lab/../../x.py", "./x.py", "my_lab/", ""])
def test_a_path_that_is_not_plainly_below_is_refused(path: str) -> None:
    assert "it leaves its folder or has an empty part" in refusal(path)


@pytest.mark.parametrize("path", ["my_lab/__pycache__/a.cpython-311.pyc", "my_lab/a.pyc", "my_lab/.git/config"])
def test_what_is_never_content_is_refused(path: str) -> None:
    assert "never content" in refusal(path)


def test_a_name_that_is_not_text_is_refused() -> None:
    assert r"'my_lab/caf\udce9.py' cannot be frozen because its name is not valid UTF-8" in refusal(
        "my_lab/caf\udce9.py"
    )


@pytest.mark.parametrize(
    ("name", "length"), [("x" * 256, 256), ("\N{GRINNING FACE}" * 64, 256), ("x" * 228 + ".py", 231)]
)
def test_a_name_that_is_too_long_is_refused(name: str, length: int) -> None:
    """That of a module is shorter, because its byte-code has a longer one."""
    assert f"a name in it has {length} bytes" in refusal(f"my_lab/{name}")
    check_paths([f"my_lab/{name[1:]}"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Furnace.py", "furnace.py"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}.py", "cafe\N{COMBINING ACUTE ACCENT}.py"),
        ("STRASSE", "stra\N{LATIN SMALL LETTER SHARP S}e"),
    ],
)
def test_names_that_differ_only_in_case_or_normalisation_are_refused(one: str, other: str) -> None:
    told = refusal(f"my_lab/{one}", f"my_lab/{other}")
    assert "differ only in case or Unicode normalisation" in told
    assert repr(f"my_lab/{one}") in told
    assert repr(f"my_lab/{other}") in told


def test_folders_that_differ_only_in_case_are_refused() -> None:
    assert "'my_lab/Data' and 'my_lab/data' differ only in case" in refusal("my_lab/Data/a.csv", "my_lab/data/b.csv")


def test_a_name_cannot_be_a_file_and_a_folder() -> None:
    assert "'my_lab/a' is both a file and a folder" in refusal("my_lab/a/b.py", "my_lab/a")


def test_a_name_that_is_there_twice_is_refused() -> None:
    assert "'my_lab/a.py' is there twice" in refusal("my_lab/a.py", "my_lab/a.py")


def test_too_many_files_are_refused() -> None:
    paths = [f"my_lab/{number}.py" for number in range(4)]
    check_paths(paths, Limits(files=4))
    assert "There are 4 files to freeze, more than the 3 allowed" in refusal(*paths, limits=Limits(files=3))


def test_a_path_that_is_too_deep_is_refused() -> None:
    check_paths(["my_lab/a/b.py"], Limits(depth=3))
    assert "'my_lab/a/b.py' is 3 levels deep, more than the 2" in refusal("my_lab/a/b.py", limits=Limits(depth=2))


def test_a_path_that_is_too_long_is_refused() -> None:
    path = "my_lab/\N{GRINNING FACE}.csv"
    check_paths([path], Limits(path_length=15))
    assert "has 15 bytes, more than the 14 allowed" in refusal(path, limits=Limits(path_length=14))


def test_too_much_content_is_refused() -> None:
    check_total([600, 424], Limits(total_size=1024))
    with pytest.raises(SourceError, match=r"have 3\.0 MiB, more than the 2 MiB allowed"):
        check_total([2 << 20, 1 << 20], Limits(total_size=2 << 20))


portable = st.text("abcXYZ019_-. \N{LATIN SMALL LETTER U WITH DIAERESIS}", min_size=1, max_size=12)


@given(st.lists(portable, min_size=1, max_size=4, unique_by=str.lower))
def test_a_name_is_refused_or_a_file_of_that_name_can_be_frozen(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    paths = [f"my_lab/{name}" for name in names]
    try:
        check_paths(paths)
    except SourceError as problem:
        assert any(repr(path) in str(problem) for path in paths)
        return
    package = tmp_path_factory.mktemp("tree") / "my_lab"
    package.mkdir()
    for name in names:
        (package / name).write_text("x")
    assert sorted(file.path for file in TreeSource(package).files()) == sorted(paths)


@pytest.mark.parametrize("limits", [Limits(files=2), Limits(depth=1), Limits(path_length=8), Limits(total_size=2)])
def test_both_kinds_of_source_obey_the_limits(tmp_path: Path, limits: Limits) -> None:
    package = tmp_path / "my_lab"
    package.mkdir()
    for name in ("__init__.py", "a.py", "b.py"):
        (package / name).write_text("1")
    for arguments in (["init", "-q"], ["add", "-A"], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm1"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    with pytest.raises(SourceError, match="allowed") as on_disk:
        TreeSource(package, limits=limits).files()
    with (
        GitSource(tmp_path, "my_lab", limits=limits) as source,
        pytest.raises(SourceError, match="allowed") as committed,
    ):
        source.files()
    assert str(on_disk.value) == str(committed.value)
