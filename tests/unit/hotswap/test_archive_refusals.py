"""An archive of which a single byte is not ours is refused, by name, and nothing of it becomes visible."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import Member, member, put_together, take_apart

from hotswap.archive import export, load
from hotswap.digest import canonical_json, hash_json
from hotswap.environment import Environment
from hotswap.errors import ArchiveError
from hotswap.limits import Limits
from hotswap.snapshot import FileEntry, Origin, Snapshot
from hotswap.source import TreeSource
from hotswap.store import Store

Change = Callable[[list[Member]], object]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive of a package with a name that ustar does not have."""
    folder = tmp_path_factory.mktemp("written")
    package = folder / "my_lab"
    package.mkdir()
    (package / "__init__.py").write_bytes(b"x = 1\n")
    (package / "größe.txt").write_bytes(b"1" * 600)
    (package / "tool.py").write_bytes(b"y = 2\n")
    store = Store(folder / "store")
    export(store, store.freeze(TreeSource(package), Environment("cp311")).id, folder / "version.tar")
    return (folder / "version.tar").read_bytes()


@pytest.fixture
def archive(written: bytes, tmp_path: Path) -> Path:
    (tmp_path / "version.tar").write_bytes(written)
    return tmp_path / "version.tar"


@pytest.fixture
def plain(written: bytes) -> list[Member]:
    """The members of an archive that has only plain names, to be changed."""
    (_, manifest), *files = (one for one in take_apart(written) if one[0].name.isascii())
    told = json.loads(manifest)["snapshot"]
    entries = [FileEntry.from_list(entry) for entry in told["files"] if entry[0].isascii()]
    snapshot = Snapshot.of("my_lab", entries, Environment("cp311"), Origin())
    return [sealed(snapshot.to_dict()), *files]


def sealed(told: dict[str, Any], **more: Any) -> Member:
    """A manifest."""
    return member(
        "manifest.json", canonical_json({"archive_format": 1, "digest": hash_json(told), "snapshot": told, **more})
    )


def refusal(path: Path, limits: Limits | None = None) -> str:
    """The reason that an archive is refused for, when it is loaded into an empty store."""
    store = Store(path.parent / "refusing")
    with pytest.raises(ArchiveError) as caught:
        load(store, path, limits=limits or Limits())
    assert store.list() == []
    assert store.verify() == []
    told = str(caught.value)
    assert told.startswith(f"The archive {path} ")
    assert "\n" not in told
    return told.removeprefix(f"The archive {path} is refused, because ").removesuffix(": use another copy of it.")


def changed(archive: Path, members: list[Member]) -> str:
    archive.write_bytes(put_together(members))
    return refusal(archive)


def forged(members: list[Member], **changes: Any) -> list[Member]:
    """The same with another manifest."""
    return [sealed({**json.loads(members[0][1])["snapshot"], **changes}), *members[1:]]


def test_putting_together_what_was_taken_apart_is_accepted(archive: Path, plain: list[Member]) -> None:
    archive.write_bytes(put_together(plain))
    assert load(Store(archive.parent / "accepting"), archive).new


def test_it_is_refused_wherever_it_is_cut_short(archive: Path) -> None:
    data = archive.read_bytes()
    reasons = set()
    for length in [*range(0, len(data), 256), len(data) - 1]:
        archive.write_bytes(data[:length])
        reasons.add(refusal(archive))
    assert {
        "it is empty",
        "it does not start with a manifest.json as hotswap writes it",
        "it is cut short in 'manifest.json'",
        "it is cut short before 'files/my_lab/__init__.py'",
        "it is cut short in 'files/my_lab/__init__.py'",
        "it is cut short before 'files/my_lab/größe.txt'",
        "it is cut short in 'files/my_lab/größe.txt'",
        "it is cut short before 'files/my_lab/tool.py'",
        "it is cut short in 'files/my_lab/tool.py'",
        "it is cut short before its end",
    } == reasons


def test_it_is_refused_whichever_byte_is_changed(archive: Path) -> None:
    data = archive.read_bytes()
    for place in range(0, len(data), 23):
        archive.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert refusal(archive)


@pytest.mark.parametrize("more", [b"\0", b"\0" * 512, b"x", b"x" * 10_240])
def test_nothing_may_follow_the_end(archive: Path, more: bytes) -> None:
    archive.write_bytes(archive.read_bytes() + more)
    assert refusal(archive) == "there is something after its end"


def test_nothing_may_hide_behind_a_content(archive: Path) -> None:
    data = archive.read_bytes()
    place = data.index(b"x = 1\n")
    archive.write_bytes(data[: place + 10] + b"hidden" + data[place + 16 :])
    assert refusal(archive) == "there is something after the content of 'files/my_lab/__init__.py'"


def test_a_content_that_was_changed_is_named(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes().replace(b"y = 2\n", b"y = 3\n"))
    assert refusal(archive) == "the content of 'files/my_lab/tool.py' is not what manifest.json says"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "is a symbolic link"),
        (tarfile.LNKTYPE, "is a hard link"),
        (tarfile.CHRTYPE, "is a device"),
        (tarfile.BLKTYPE, "is a device"),
        (tarfile.FIFOTYPE, "is a pipe"),
        (tarfile.DIRTYPE, "is a folder"),
        (tarfile.GNUTYPE_SPARSE, "is a sparse file"),
        (tarfile.CONTTYPE, "is no regular file"),
        (tarfile.AREGTYPE, "is no regular file"),
    ],
)
def test_what_is_no_regular_file_is_refused(archive: Path, plain: list[Member], kind: bytes, reason: str) -> None:
    link = member("files/my_lab/__init__.py", b"", type=kind, linkname="/etc/passwd", mode=0o644)
    assert changed(archive, [plain[0], link, *plain[2:]]) == f"the member 'files/my_lab/__init__.py' {reason}"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_extended_headers_that_do_not_belong_there_are_refused(archive: Path, plain: list[Member], kind: bytes) -> None:
    lie = member("x", b"20 path=/etc/passwd\n", type=kind)
    assert changed(archive, [plain[0], lie, *plain[1:]]) == (
        "an extended header stands before 'files/my_lab/__init__.py' and is not what belongs there"
    )


def test_an_extended_header_that_lies_is_refused(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes().replace("path=files/my_lab/größe".encode(), b"path=/etc/my_lab/groesse!"))
    assert refusal(archive) == (
        "an extended header stands before 'files/my_lab/größe.txt' and is not what belongs there"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/cron.d/x", "has an absolute name"),
        ("files//etc/passwd", "has a name that is not allowed (it leaves its folder or has an empty part)"),
        ("../../evil.py", "has a name that is not allowed (it leaves its folder or has an empty part)"),
        ("files/my_lab/../../evil.py", "has a name that is not allowed (it leaves its folder or has an empty part)"),
        ("files/my_lab/aux.py", "has a name that is not allowed (the name 'aux.py' means a device on Windows)"),
        ("files/my_lab/tool.py", "is there twice"),
        ("manifest.json", "is there twice"),
        ("files/my_lab/more.py", "is not in the manifest"),
        ("files/my_lab/TOOL.py", "differs only in case or Unicode normalisation from another, or is both"),
        ("files/my_lab", "differs only in case or Unicode normalisation from another, or is both"),
    ],
)
def test_a_member_too_many_is_refused_by_name(archive: Path, plain: list[Member], name: str, reason: str) -> None:
    assert changed(archive, [*plain, member(name, b"", mode=0o644)]).startswith(f"the member {name!r} {reason}")


def test_a_member_that_is_missing_is_named(archive: Path, plain: list[Member]) -> None:
    assert changed(archive, plain[:1]) == "the member 'files/my_lab/__init__.py' is missing"
    assert changed(archive, plain[:-1]) == "the member 'files/my_lab/tool.py' is missing"


def test_members_in_another_order_are_refused(archive: Path, plain: list[Member]) -> None:
    assert changed(archive, [plain[0], *reversed(plain[1:])]) == (
        "the member 'files/my_lab/tool.py' does not belong before 'files/my_lab/__init__.py'"
    )
    assert changed(archive, [*plain[1:], plain[0]]) == "it does not start with a manifest.json as hotswap writes it"


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"mode": 0o755}, "has the mode 755 instead of 644"),
        ({"mode": 0o4755}, "has the mode 4755 instead of 644"),
        ({"size": 7}, "has 7 bytes instead of 6"),
        ({"size": 8**11 - 1}, "has 8589934591 bytes instead of 6"),
        ({"mtime": 1}, "has a header that tells more than name, mode and size"),
        ({"uid": 1000}, "has a header that tells more"),
        ({"uname": "root"}, "has a header that tells more"),
        ({"linkname": "/etc/passwd"}, "has a header that tells more"),
    ],
)
def test_a_header_says_what_the_manifest_says_and_no_more(
    archive: Path, plain: list[Member], attributes: dict[str, Any], reason: str
) -> None:
    wrong = member("files/my_lab/__init__.py", b"x = 1\n", **attributes)
    told = changed(archive, [plain[0], wrong, *plain[2:]])
    assert told.startswith(f"the member 'files/my_lab/__init__.py' {reason}")


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")])
def test_a_compressed_archive_is_refused(archive: Path, pack: Callable[[bytes], bytes], name: str) -> None:
    archive.write_bytes(pack(archive.read_bytes()))
    assert refusal(archive) == f"it is compressed with {name} and has to be unpacked first"


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_an_unknown_format_is_refused(archive: Path, plain: list[Member], number: object) -> None:
    newer = sealed(json.loads(plain[0][1])["snapshot"], archive_format=number)
    assert changed(archive, [newer, *plain[1:]]).startswith(
        f"the archive has format {number!r} and this version of hotswap reads"
    )


def test_a_snapshot_of_an_unknown_format_is_refused(archive: Path, plain: list[Member]) -> None:
    assert changed(archive, forged(plain, format=2)).startswith(
        "the manifest has format 2 and this version of hotswap reads format 1"
    )


def test_what_stands_beside_the_id_is_checked_too(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes().replace(b'"dirty":true', b'"dirty":null'))
    assert refusal(archive) == "manifest.json was changed: its digest is another"


def test_a_manifest_whose_id_does_not_follow_is_refused(archive: Path, plain: list[Member]) -> None:
    assert (
        changed(archive, forged(plain, id="ab" * 32))
        == f"the id {'ab' * 32} does not follow from the rest of manifest.json"
    )


@pytest.mark.parametrize("path", ["/etc/passwd", "my_lab/../../x.py", "my_lab/CON"])
def test_a_manifest_with_a_path_that_is_not_allowed_is_refused(archive: Path, plain: list[Member], path: str) -> None:
    assert changed(archive, forged(plain, files=[[path, 420, 0, "11" * 32]])).startswith(
        f"the path {path!r} is not allowed ("
    )


MANIFESTS = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    b"9" * 5000,
    b'{"archive_format": 1}',
    b'{"archive_format": 1, "digest": "%s", "snapshot": NaN}' % (b"11" * 32),
    b'{"archive_format": 1, "digest": "%s", "snapshot": %s}' % (b"11" * 32, b"[" * 960 + b"]" * 960),
]


@pytest.mark.parametrize("text", MANIFESTS, ids=range(len(MANIFESTS)))
def test_a_manifest_that_is_none_is_refused(archive: Path, plain: list[Member], text: bytes) -> None:
    assert "manifest.json" in changed(archive, [member("manifest.json", text), *plain[1:]])


@pytest.mark.parametrize("spelling", [{"indent": 1}, {"sort_keys": False}, {"separators": (", ", ": ")}])
def test_a_manifest_that_is_spelled_otherwise_is_refused(
    archive: Path, plain: list[Member], spelling: dict[str, Any]
) -> None:
    manifest = dict(reversed(json.loads(plain[0][1]).items()))
    other = member("manifest.json", json.dumps(manifest, **spelling).encode())
    assert (
        changed(archive, [other, *plain[1:]]) == "manifest.json is not written the one way that manifests are written"
    )


def test_a_manifest_that_says_more_is_refused(archive: Path, plain: list[Member]) -> None:
    reason = "manifest.json is not written the one way that manifests are written"
    assert changed(archive, forged(plain, more=1)) == reason
    assert changed(archive, [sealed(json.loads(plain[0][1])["snapshot"], more=1), *plain[1:]]) == reason


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(files=2), "manifest.json lists 3 files, more than the 2 allowed"),
        (Limits(file_size=599), "'my_lab/größe.txt' has 600 bytes, more than the 599 allowed for one file"),
        (Limits(total_size=611), "its files have 612 bytes together, more than the 611 allowed"),
        (Limits(depth=1), "'my_lab/__init__.py' is more than the 1 levels deep that are allowed"),
        (Limits(path_length=17), "'my_lab/__init__.py' is longer than the 17 bytes that are allowed for a path"),
    ],
)
def test_more_than_the_limits_allow_is_refused(archive: Path, limits: Limits, reason: str) -> None:
    assert refusal(archive, limits) == reason


def bomb(path: Path, entries: list[FileEntry]) -> None:
    """An archive that tells of huge contents and has none."""
    snapshot = Snapshot.of("my_lab", entries, Environment("cp311"), Origin())
    path.write_bytes(put_together([sealed(snapshot.to_dict())]))


def test_bombs_are_refused_by_what_they_tell_before_anything_is_read(archive: Path) -> None:
    one = FileEntry("my_lab/a.bin", 0o644, 8 * 2**30 - 1, "11" * 32)
    bomb(archive, [one])
    assert refusal(archive).startswith("'my_lab/a.bin' has 8589934591 bytes, more than the 67108864 allowed")
    bomb(archive, [FileEntry(f"my_lab/{count}.bin", 0o644, 2**26, "11" * 32) for count in range(17)])
    assert refusal(archive).startswith("its files have 1140850688 bytes together, more than")


def test_a_huge_manifest_is_refused_by_its_header(archive: Path) -> None:
    info, _ = member("manifest.json")
    info.size = 8**11 - 1
    archive.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + b"{")
    assert refusal(archive) == "manifest.json has 8589934591 bytes, more than the 33554432 allowed"


def test_a_file_with_holes_is_not_read_to_its_end(archive: Path) -> None:
    with archive.open("r+b") as stream:
        stream.truncate(2**40)
    assert refusal(archive) == "there is something after its end"


def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "it is not a regular file"
    assert refusal(tmp_path) == "it is not a regular file"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "nothing.tar")


def test_an_archive_that_changes_while_it_is_loaded_is_refused(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(archive.parent / "refusing")
    ensure = store.ensure

    def replaced_before(*arguments: Any, **options: Any) -> Any:
        archive.write_bytes(archive.read_bytes().replace(b"y = 2\n", b"y = 3\n"))
        return ensure(*arguments, **options)

    monkeypatch.setattr(store, "ensure", replaced_before)
    with pytest.raises(ArchiveError, match="is not what manifest"):
        load(store, archive)
    assert store.list() == []
