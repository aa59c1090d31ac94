"""Whether a commit may be trusted: which branches have it, and whether somebody who is known signed it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hotswap.source import _git

_ONLY_SSH: Final = ("-c", "gpg.program=false", "-c", "gpg.x509.program=false")


def is_on_branch(repo: Path, commit: str, branches: Iterable[str]) -> bool:
    """Whether one of the branches, as ``main`` or ``origin/main``, has the commit."""
    refs = [f"refs/{kind}/{branch}" for branch in branches for kind in ("heads", "remotes")]
    return any(_git.ask(repo, "merge-base", "--is-ancestor", commit, ref).returncode == 0 for ref in refs)


def signature_objection(repo: Path, commit: str, allowed_signers: Path | None) -> str | None:
    """Why the signature of the commit does not count, as a clause; None when it is good.

    With ``allowed_signers``, in the format of ssh-keygen, only an ssh key in that file counts; without it git's own
    settings decide, for ssh and gpg.
    """
    settings = () if allowed_signers is None else (*_ONLY_SSH, "-c", f"gpg.ssh.allowedSignersFile={allowed_signers}")
    done = _git.ask(repo, *settings, "verify-commit", commit)
    if done.returncode == 0:
        return None
    told = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"its signature is not accepted ({told[-1].rstrip('.')})" if told else "it is not signed"
