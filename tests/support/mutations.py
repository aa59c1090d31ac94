"""Wrong archives and manifests, made from right ones by a seeded generator."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from archives import member, put_together

from hotswap.digest import hash_bytes

Json = Any

HOSTILE: list[Json] = [
    None, True, -1, 0, 1, 7, 2**31, 2**63, 10**400, 1.5, 1e308, "", "x", "../x", "/etc/passwd", "my_lab/../../x",
    "..", ".", "\0", "\n", "\ud800", "CON", "a" * 5000, "a/" * 500, "my_lab/__init__.py", "MY_LAB/__init__.py",
    "ab" * 32, "AB" * 32, "2026-01-01", "0001-01-01T00:00:00+00:00", [], [[]], {}, {"format": 1}, [[[[[[[]]]]]]],
]  # fmt: skip
BYTES = [b"", b"\0", b"\xff", b"\0" * 512, b"\0" * 1024, b"../", b"/etc/passwd\0", b"7777777", b"\x80\0\xff\xff", b"-1"]
NAMES = [b"/etc/passwd", b"../../evil", b"files/../x", b"manifest.json", b"files/my_lab", b"files/my_lab/__init__.py"]
KINDS = [b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"g", b"x", b"S", b"L", b"K", b"Z", b"\xff"]
FIELDS = [(0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (265, 80)]


def mutated_archive(rng: random.Random, seeds: list[bytes]) -> bytes:
    """An archive that was changed once, or a few times in a row."""
    data = rng.choice(seeds)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = rng.choice(_ARCHIVE_CHANGES)(rng, data, seeds)
    return data


def mutated_manifest(rng: random.Random, seeds: list[bytes]) -> bytes:
    """The manifest of a store, changed in its bytes, or in what it says with a checksum that fits."""
    data = rng.choice(seeds)
    if rng.random() < 0.3:
        return rng.choice(_BYTE_CHANGES)(rng, data, seeds)
    body = json.loads(data)
    del body["checksum"]
    return seal(spell(mutated_json(rng, body)))


def seal(body: bytes) -> bytes:
    """A store's manifest with its checksum; ``body`` is an object that is still open."""
    return body + b', "checksum": "%s"}\n' % hash_bytes(body).encode()


def spell(value: Json) -> bytes:
    return json.dumps(value).encode().removesuffix(b"}")


def mutated_json(rng: random.Random, value: Json) -> Json:
    """The same with something else, nothing, or something more in one or several places."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2, 3])):
        holder = _holder(rng, value)
        if holder is not None:
            _change(rng, holder)
    return value


def _holder(rng: random.Random, value: Json) -> Json:
    """Some dictionary or list that is not empty, at any depth."""
    found = [value]
    for one in found:
        found += [each for each in (one.values() if isinstance(one, dict) else one) if isinstance(each, dict | list)]
    return rng.choice([one for one in found if one] or [None])


def _change(rng: random.Random, holder: Json) -> None:
    keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = rng.choice(keys)
    what = rng.randrange(5)
    if what == 0:
        holder[key] = copy.deepcopy(rng.choice(HOSTILE))
    elif what == 1:
        del holder[key]
    elif what == 2 and isinstance(holder, dict):
        holder[str(rng.choice(HOSTILE))[:50]] = holder.pop(key)
    elif what == 2:
        holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
    elif what == 3:
        other = rng.choice(keys)
        holder[key], holder[other] = holder[other], holder[key]
    else:
        holder[key] = _nearly(rng, holder[key])


def _nearly(rng: random.Random, value: Json) -> Json:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + rng.choice([-1, 1, 8**11])
    if isinstance(value, str) and value:
        place = rng.randrange(len(value))
        return value[:place] + rng.choice(["", "0", "A", "/", "..", "\u0308", "\ud800"]) + value[place + 1 :]
    return [value]


def _flip(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8]) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _insert(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice([*BYTES, rng.randbytes(rng.randrange(1, 600))]) + data[place:]


def _remove(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start, end = sorted(rng.choices(range(len(data) + 1), k=2))
    return data[:start] + data[end:]


def _splice(rng: random.Random, data: bytes, seeds: list[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: _block(rng, data)] + other[_block(rng, other) :]


def _repeat(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start, end = sorted((_block(rng, data), _block(rng, data)))
    return data[:end] + data[start:]


def _swap(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    first, second, third = sorted(_block(rng, data) for _ in range(3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _field(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Another value in a header, whose checksum is made to fit."""
    headers = [place for place in range(0, len(data) - 511, 512) if data[place + 257 : place + 262] == b"ustar"]
    if not headers:
        return data
    place = rng.choice(headers)
    header = bytearray(data[place : place + 512])
    start, size = rng.choice(FIELDS)
    value = rng.choice(
        KINDS if size == 1 else NAMES + BYTES if size >= 100 else [*BYTES, b"%o\0" % rng.randrange(8**7)]
    )
    header[start : start + size] = value[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:place] + bytes(header) + data[place + 512 :]


def _say(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    """Something else in the manifest, with a digest that fits."""
    size = int(data[124:135], 8) if data[124:135].isdigit() else 0
    try:
        told = json.loads(data[512 : 512 + size])
        told["snapshot"] = mutated_json(rng, told["snapshot"])
    except (ValueError, KeyError, TypeError):  # it was changed before, beyond recognition
        return data
    told["digest"] = hash_bytes(_canonical(told["snapshot"]))
    manifest = _canonical(mutated_json(rng, told) if rng.random() < 0.2 else told)
    return put_together([member("manifest.json", manifest)])[:-1024] + data[512 + size + -size % 512 :]


def _canonical(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _block(rng: random.Random, data: bytes) -> int:
    return 512 * rng.randrange(len(data) // 512 + 1)


_Change = Callable[[random.Random, bytes, list[bytes]], bytes]
_BYTE_CHANGES: list[_Change] = [_flip, _cut, _insert, _remove]
_ARCHIVE_CHANGES: list[_Change] = [*_BYTE_CHANGES, _splice, _repeat, _swap, _field, _field, _field, _say, _say, _say]
