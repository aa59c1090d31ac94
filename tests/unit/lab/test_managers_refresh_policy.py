"""Which code a laboratory takes: edits, branches, signatures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from distributions import make_package

from hotswap.snapshot import Snapshot
from hotswap.store import Store
from lab.catalog import Definitions
from lab.managers.refresh import CodePolicy, LabCode, PolicyError
from lab.settings.config import ConfigError, load

pytestmark = pytest.mark.system

ADA, EVE = "ada@example.org", "eve@example.org"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", f"user.email={ADA}"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = make_package(tmp_path / "lab", {"my_lab/__init__.py": "", "lab.toml": ""})
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "all")
    return folder


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """An ssh key for each person; only Ada's is in the file of allowed signers."""
    made = {}
    for person in (ADA, EVE):
        made[person] = tmp_path / person
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(made[person])]
        subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "signers").write_text(f"{ADA} {made[ADA].with_suffix('.org.pub').read_text()}")
    return made


def sign(folder: Path, key: Path) -> None:
    git(folder, "-c", "gpg.format=ssh", "-c", f"user.signingKey={key}",
        "commit", "-q", "-S", "--allow-empty", "-m", "signed")  # fmt: skip


def checked(folder: Path, settings: str, rev: str | None = None) -> Snapshot:
    (folder / "lab.toml").write_text(settings)
    config = load(folder, {"LAB_STATE_DIR": str(folder.parent / "state")})
    code = LabCode(config, Store(folder.parent / "store"))
    snapshot = code.freeze(rev)
    CodePolicy(config, code.repository()).check(snapshot)
    return snapshot


SAVED = '[general]\ntrigger = "save"\n'
REAL = f"{SAVED}simulation = false\n"


@pytest.mark.parametrize("settings", [REAL, SAVED + "[policy]\nallow_dirty = false\n"])
def test_edits_without_a_commit_are_refused_where_devices_are_real_or_the_settings_say_so(
    folder: Path, settings: str
) -> None:
    assert not checked(folder, settings).origin.dirty
    (folder / "my_lab" / "tasks.py").write_text("")
    with pytest.raises(PolicyError, match=r"has edits that no commit has, .*: commit them, or set allow_dirty = true"):
        checked(folder, settings)


@pytest.mark.parametrize("settings", [SAVED, REAL + "[policy]\nallow_dirty = true\n"])
def test_edits_are_taken_in_simulation_or_where_the_settings_say_so(folder: Path, settings: str) -> None:
    (folder / "my_lab" / "tasks.py").write_text("")
    assert checked(folder, settings).origin.dirty


def test_only_commits_that_a_named_branch_has_are_taken(folder: Path) -> None:
    settings = '[policy]\nbranches = ["main", "release"]\n'
    git(folder, "checkout", "-q", "-b", "feature")
    git(folder, "commit", "-q", "--allow-empty", "-m", "try")
    tip = git(folder, "rev-parse", "HEAD")
    assert checked(folder, settings, "main").origin.commit != tip
    with pytest.raises(PolicyError, match=rf"{tip[:12]} is on none of the branches .*\(main, release\): merge it"):
        checked(folder, settings)
    git(folder, "branch", "release")
    assert checked(folder, settings).origin.commit == tip


def test_only_commits_that_an_allowed_signer_signed_are_taken(folder: Path, keys: dict[str, Path]) -> None:
    settings = '[policy]\nallowed_signers = "../signers"\n'
    with pytest.raises(PolicyError, match=r"is refused because it is not signed: sign it with `git commit --amend -S`"):
        checked(folder, settings)
    sign(folder, keys[EVE])
    with pytest.raises(PolicyError, match=r"is refused because its signature is not accepted \(.*\): sign it"):
        checked(folder, settings)
    sign(folder, keys[ADA])
    assert not checked(folder, settings).origin.dirty


def test_a_setting_of_the_repository_does_not_widen_who_may_sign(
    folder: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "own").write_text(f"{EVE} {keys[EVE].with_suffix('.org.pub').read_text()}")
    git(folder, "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "own"))
    sign(folder, keys[EVE])
    assert checked(folder, "[policy]\nsigned = true\n")
    with pytest.raises(PolicyError, match="signature is not accepted"):
        checked(folder, '[policy]\nallowed_signers = "../signers"\n')


def test_a_commit_that_nobody_signed_is_refused_where_signatures_are_asked_for(folder: Path) -> None:
    with pytest.raises(PolicyError, match=r"is refused because it is not signed: sign it with `git commit --amend -S`"):
        checked(folder, "[policy]\nsigned = true\n")


def test_edits_are_signed_by_nobody(folder: Path) -> None:
    (folder / "my_lab" / "tasks.py").write_text("")
    with pytest.raises(PolicyError, match=r"nobody signed them: commit them with `git commit -S`"):
        checked(folder, SAVED + "[policy]\nsigned = true\n")


def test_code_outside_of_git_has_no_commit_to_trust(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "plain", {"my_lab/__init__.py": ""})
    with pytest.raises(PolicyError, match="the code comes from none: commit it with git first"):
        checked(folder, '[policy]\nbranches = ["main"]\n')


def test_a_file_of_signers_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy.allowed_signers names .*/nobody, which is no file: write one"):
        checked(folder, '[policy]\nallowed_signers = "nobody"\n')


def test_a_pattern_of_simulate_has_to_match_a_device_of_the_code(folder: Path) -> None:
    (folder / "lab.toml").write_text('[general]\nsimulate = ["furnace_*", "oven_*", "door_1"]\nsimulation = false\n')
    policy = CodePolicy(load(folder, {"LAB_STATE_DIR": str(folder.parent / "state")}), None)
    devices = {name: {"group": name.partition("_")[0]} for name in ("furnace_1", "door_1", "door_2")}
    definitions = Definitions("s", "my_lab", devices=devices, tasks={}, positions=[], drivers={})
    told = list(policy.objections({"queued": [], "removed_in_use": []}, definitions))
    assert told == [
        "[general] simulate of lab.toml has 'oven_*', which matches no device of this code (furnace_1, door_1, "
        "door_2): correct the pattern, then launch the lab again.",
        "[general] simulate of lab.toml matches only some of the devices that share 'door' (door_1, door_2): match "
        "all of them or none, then launch the lab again.",
    ]
    with pytest.raises(PolicyError, match=r"'oven_\*', which matches no device"):
        policy.check_plan({"queued": [], "removed_in_use": []}, definitions)
