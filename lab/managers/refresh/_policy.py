"""Policy on code: what must hold for a snapshot before any of it runs in this laboratory, and before it goes live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hotswap.errors import HotswapError
from hotswap.snapshot import Snapshot
from hotswap.source import is_on_branch, signature_objection
from lab.catalog import Definitions
from lab.records import Document
from lab.settings.config import LabConfig

_NAMED: Final = 5


class PolicyError(HotswapError):
    """The laboratory does not take this code."""


class CodePolicy:
    """``[policy]`` of lab.toml; ``repository`` is where the commits are, None where the lab package is in none."""

    def __init__(self, config: LabConfig, repository: Path | None) -> None:
        policy = config.policy
        self._repository = repository
        self._signers = policy.allowed_signers
        self._branches = policy.branches
        self._wants_signature = policy.signed or policy.allowed_signers is not None
        self._keeps_queued = policy.queued == "refuse"
        self._keeps_used = policy.removals == "refuse"
        self._simulation = config.simulation
        self._allows_dirty = config.general.simulation if policy.allow_dirty is None else policy.allow_dirty

    def check(self, snapshot: Snapshot) -> None:
        """Raises PolicyError, which says what to do."""
        if snapshot.origin.dirty:
            self._check_edits(snapshot.short_id)
        if self._branches or self._wants_signature:
            self._check_commit(snapshot.origin.commit)

    def check_plan(self, plan: Document, definitions: Definitions) -> None:
        """Raises PolicyError for the first objection to the plan."""
        for reason in self.objections(plan, definitions):
            raise PolicyError(reason)

    def objections(self, plan: Document, definitions: Definitions) -> Iterator[str]:
        """Why this laboratory would not let the plan be carried out: it breaks or takes away what is needed.

        And where the settings do not fit the code: a device that somebody means to be simulated might be real.
        """
        for pattern in self._simulation.unmatched(definitions.devices):
            yield (
                f"[general] simulate of lab.toml has {pattern!r}, which matches no device of this code "
                f"({', '.join(definitions.devices) or 'it has none'}): correct the pattern, then launch the lab again."
            )
        for group in self._simulation.divided(definitions.groups()):
            yield (
                f"[general] simulate of lab.toml matches only some of the devices that share {group!r} "
                f"({', '.join(definitions.groups()[group])}): match all of them or none, then launch the lab again."
            )
        if self._keeps_queued and (unfit := plan["queued"]):
            named = "; ".join(f"{each['type']} {each['task']}: {each['reason']}" for each in unfit[:_NAMED])
            more = f"; and {len(unfit) - _NAMED} more" if len(unfit) > _NAMED else ""
            yield (
                f"This code does not take queued tasks, which [policy] of lab.toml refuses ({named}{more}): "
                "cancel them, or have the code take them."
            )
        if self._keeps_used and (removed := plan["removed_in_use"]):
            named = ", ".join(f"{each['name']} ({each['why']})" for each in removed)
            yield (
                f"This code no longer has what is in use, which [policy] of lab.toml refuses: {named}; "
                "refresh again when it is free, or put it back."
            )

    def _check_edits(self, version: str) -> None:
        if not self._allows_dirty:
            raise PolicyError(
                f"Code version {version} has edits that no commit has, which this laboratory does not take: commit "
                "them, or set allow_dirty = true in [policy] of lab.toml."
            )
        if self._wants_signature:
            raise PolicyError(
                f"Code version {version} has edits that no commit has, so nobody signed them: commit them with "
                "`git commit -S`."
            )

    def _check_commit(self, commit: str | None) -> None:
        if self._repository is None or commit is None:
            raise PolicyError(
                "[policy] of lab.toml asks for commits, but the code comes from none: commit it with git first."
            )
        if self._branches and not is_on_branch(self._repository, commit, self._branches):
            raise PolicyError(
                f"Commit {commit[:12]} is on none of the branches that [policy] of lab.toml takes "
                f"({', '.join(self._branches)}): merge it into one of them."
            )
        if self._wants_signature and (reason := signature_objection(self._repository, commit, self._signers)):
            raise PolicyError(
                f"Commit {commit[:12]} is refused because {reason}: sign it with `git commit --amend -S`, with a key "
                "that this laboratory accepts."
            )
