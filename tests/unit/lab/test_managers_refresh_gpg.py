"""Which gpg signatures a laboratory takes: those that git accepts, and none where a file says who may sign."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from distributions import make_package

from hotswap.store import Store
from lab.managers.refresh import CodePolicy, LabCode, PolicyError
from lab.settings.config import load

pytestmark = [pytest.mark.system, pytest.mark.skipif(shutil.which("gpg") is None, reason="needs the program gpg")]

ADA, EVE = "ada@example.org", "eve@example.org"
SIGNED = "[policy]\nsigned = true\n"


class Person:
    """Somebody with a gpg key of their own, in a folder of their own."""

    def __init__(self, address: str, stack: ExitStack) -> None:
        # The agent of gpg listens in this folder, and the path of a socket has room for a hundred characters.
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="gpg", dir="/tmp", ignore_cleanup_errors=True))
        self.home = home
        self.address = address
        stack.callback(self._run, "gpgconf", "--kill", "all")
        self._run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", address, "ed25519", "sign", "never")

    def sign(self, folder: Path) -> None:
        """Make a commit that this person signs."""
        names = ["-c", "user.name=Somebody", "-c", f"user.email={self.address}"]
        key = ["-c", "gpg.format=openpgp", "-c", f"user.signingKey={self.address}"]
        self._run("git", "-C", str(folder), *names, *key, "commit", "-q", "-S", "--allow-empty", "-m", "signed")

    def _run(self, *command: str) -> None:
        environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": self.home, "GNUPGHOME": self.home}
        subprocess.run(command, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def people() -> Iterator[dict[str, Person]]:
    with ExitStack() as stack:
        yield {address: Person(address, stack) for address in (ADA, EVE)}


@pytest.fixture
def folder(tmp_path: Path, people: dict[str, Person], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A laboratory of Ada's, whose gpg knows her own key only."""
    folder = make_package(tmp_path / "lab", {"my_lab/__init__.py": "", "lab.toml": ""})
    for command in (["init", "-q", "-b", "main"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    monkeypatch.setenv("GNUPGHOME", people[ADA].home)
    return folder


def check(folder: Path, settings: str) -> None:
    (folder / "lab.toml").write_text(settings)
    config = load(folder, {"LAB_STATE_DIR": str(folder.parent / "state")})
    code = LabCode(config, Store(folder.parent / "store"))
    CodePolicy(config, code.repository()).check(code.freeze(None))


def test_a_commit_is_taken_that_a_key_signed_which_gpg_knows(folder: Path, people: dict[str, Person]) -> None:
    people[ADA].sign(folder)
    check(folder, SIGNED)


def test_a_commit_is_refused_that_a_key_signed_which_gpg_does_not_know(folder: Path, people: dict[str, Person]) -> None:
    people[EVE].sign(folder)
    with pytest.raises(PolicyError, match=r"signature is not accepted \(.*No public key\): sign it with"):
        check(folder, SIGNED)


def test_a_commit_is_refused_that_was_changed_after_it_was_signed(folder: Path, people: dict[str, Person]) -> None:
    people[ADA].sign(folder)
    signed = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=folder, check=True, capture_output=True).stdout
    write = ["git", "hash-object", "-t", "commit", "-w", "--stdin"]
    other = subprocess.run(write, cwd=folder, check=True, capture_output=True, input=signed + b"and more\n").stdout
    subprocess.run(["git", "reset", "-q", "--hard", other.decode().strip()], cwd=folder, check=True)
    with pytest.raises(PolicyError, match=r"signature is not accepted \(.*BAD signature.*\): sign it with"):
        check(folder, SIGNED)


def test_where_a_file_says_who_may_sign_no_gpg_key_does(folder: Path, people: dict[str, Person]) -> None:
    (folder.parent / "signers").write_text("")
    people[ADA].sign(folder)
    with pytest.raises(PolicyError, match="is refused because"):
        check(folder, '[policy]\nallowed_signers = "../signers"\n')
