"""What starts a refresh by itself: a commit on the watched branch, here or at a remote, or a settled save.

A git hook tells of a commit within milliseconds; the watched refs tell of it where no hook is installed, or where a
fetch, a reset or another program moved the branch.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import watchfiles
from watchfiles.main import FileChange

from hotswap._gitpython import git
from hotswap.errors import HotswapError, SourceError
from hotswap.source import fetch

_logger = logging.getLogger(__name__)

HOOKS = ("post-commit", "post-merge", "post-rewrite", "post-checkout")
_MARK = "# Installed by hotswap"
_KEPT = "before-hotswap"

# Ours first and quietly, then the hook that was there, with its own input, arguments and exit status.
_HOOK = f"""\
#!/bin/sh
{_MARK}: tells a running lab which commit is checked out now.
(
  dir=$(git rev-parse --git-dir)/hotswap
  [ -d "$dir" ] && git rev-parse --verify HEAD > "$dir/commit.$$" && mv -f "$dir/commit.$$" "$dir/commit"
) < /dev/null > /dev/null 2>&1
[ -x "$0.{_KEPT}" ] && exec "$0.{_KEPT}" "$@"
exit 0
"""

# The watching thread looks for events that often, in milliseconds: 0.3 % of a core against 30 ms of latency.
_STEP = 20
_TICK = 100
_LONGEST_UNREST_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_START_SECONDS = 5.0


class TriggerError(HotswapError):
    """A directory cannot be watched, or a hook cannot be installed."""


def install_hook(repo: Path) -> None:
    """Let git tell of commits, merges, rewrites and checkouts in this working tree; hooks that exist go on running.

    Installing again changes nothing. Raises TriggerError when ``repo`` is no git working tree, or when its hooks
    cannot be written.
    """
    opened = _open(repo)
    try:
        _signal_directory(opened)
        hooks = Path(repo, opened.git.rev_parse("--git-path", "hooks"))
        hooks.mkdir(parents=True, exist_ok=True)
        for name in HOOKS:
            _install(hooks / name)
    except OSError as error:
        raise TriggerError(f"The git hook cannot be written: {error}; make the hooks directory writable.") from error
    finally:
        opened.close()


def is_hooked(repo: Path) -> bool:
    """Whether every hook of `install_hook` is there. Raises TriggerError when ``repo`` is no git working tree."""
    with _open(repo) as opened:
        hooks = Path(repo, opened.git.rev_parse("--git-path", "hooks"))
        return all(_is_ours(hooks / name) for name in HOOKS)


class _Trigger(ABC):
    """A thread that watches paths and reacts; an exception is logged and the watching goes on."""

    def __init__(self, name: str, accepts: Callable[[watchfiles.Change, str], bool], tick_ms: int = _TICK) -> None:
        self._tick_ms = tick_ms
        self._accepts = accepts
        self._stop = threading.Event()
        self._live = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to watch; what changes after the return is noticed."""
        self._thread.start()
        self._live.wait(_START_SECONDS)

    def stop(self) -> None:
        """Stop watching; no call is made after the return, unless ``stop`` is called from the call itself."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    @abstractmethod
    def _paths(self) -> list[Path]:
        """What to watch, recursively."""

    @abstractmethod
    def _react(self, changed: bool) -> None:
        """Something changed or may have; with ``changed`` False, the watching has just begun or nothing came after."""

    def _unsettled(self) -> bool:
        """Whether to react although nothing changed: what was seen last was about to change."""
        return False

    def _run(self) -> None:
        again = False
        failing = False
        while not self._stop.is_set():
            try:
                self._watch(again)
                failing = False
            except Exception:
                # Broad on purpose: whatever is wrong with the directory now may be right again later.
                if not failing:
                    _logger.exception("The %s failed; it tries again every %.0f s", self._thread.name, _RETRY_SECONDS)
                failing = True
                self._stop.wait(_RETRY_SECONDS)
            again = True

    def _watch(self, again: bool) -> None:
        paths = self._paths()
        watched = _inodes(paths)
        begun = False
        for changes in self._changes(paths):
            if changes or not begun or self._unsettled():
                self._react_safely(bool(changes) or (again and not begun))
            begun = True
            self._live.set()
            if _inodes(self._paths()) != watched:
                # A directory was replaced or added: only a new watch sees what happens in it.
                return

    def _changes(self, paths: list[Path]) -> Iterator[set[FileChange]]:
        return watchfiles.watch(
            *paths,
            watch_filter=self._accepts,
            step=min(_STEP, self._tick_ms),
            debounce=10 * _STEP,
            rust_timeout=self._tick_ms,
            yield_on_timeout=True,
            stop_event=self._stop,
            raise_interrupt=False,
        )

    def _react_safely(self, changed: bool) -> None:
        try:
            self._react(changed)
        except Exception:
            # Broad on purpose: the next change must be noticed whatever this one led to.
            _logger.exception("The %s could not do what a change asks for", self._thread.name)


class CommitTrigger(_Trigger):
    """Calls ``on_commit(id)`` once for each new tip of ``branch``, or of what is checked out when it is None.

    The tip at construction is taken as known. What a rebase checks out on its way is no tip: only where it ends
    counts. With ``remote`` it is the branch as that remote was last seen. ``repo`` is a working tree, linked ones
    included; TriggerError when it is none.
    """

    def __init__(
        self, repo: Path, branch: str | None, on_commit: Callable[[str], None], *, remote: str | None = None
    ) -> None:
        super().__init__(f"commit trigger for {repo}", _is_no_lock)
        self._repo = _open(repo)
        kind = f"remotes/{remote}" if remote else "heads"
        self._ref = f"refs/{kind}/{branch}" if branch else "HEAD"
        self._on_commit = on_commit
        common = Path(self._repo.common_dir)
        self._has_files = not (common / "reftable").is_dir()
        # A checkout moves HEAD, which lies beside the busy object store: its log stands for it.
        logs = Path(self._repo.git_dir) / "logs"
        self._rebasing = [Path(self._repo.git_dir) / name for name in ("rebase-merge", "rebase-apply")]
        self._on_the_way = False
        self._candidates = [common / "refs", common / "reftable", logs, _signal_directory(self._repo)]
        self._seen = self._tip()

    def stop(self) -> None:
        super().stop()
        self._repo.close()

    def _paths(self) -> list[Path]:
        return [path for path in self._candidates if path.is_dir()]

    def _react(self, changed: bool) -> None:
        del changed  # the tip itself tells
        self._on_the_way = self._ref == "HEAD" and any(path.exists() for path in self._rebasing)
        if self._on_the_way:
            return
        tip = self._tip()
        if tip is not None and tip != self._seen:
            self._seen = tip
            self._on_commit(tip)

    def _unsettled(self) -> bool:
        return self._on_the_way

    def _tip(self) -> str | None:
        try:
            if self._has_files:
                return git.SymbolicReference.dereference_recursive(self._repo, self._ref)
            return str(self._repo.git.rev_parse("--verify", "--quiet", self._ref))
        except (ValueError, git.exc.GitCommandError):
            return None


class RemoteTrigger:
    """Calls ``on_commit(id)`` once for each new tip of ``branch`` of ``remote``, which is fetched every ``interval`` s.

    A remote that does not answer is asked again; the log says so once. Raises TriggerError as ``CommitTrigger`` does.
    """

    def __init__(self, repo: Path, remote: str, branch: str, on_commit: Callable[[str], None], interval: float) -> None:
        self._watching = CommitTrigger(repo, branch, on_commit, remote=remote)
        self._asked = (repo, remote, branch)
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"fetch {remote}/{branch}", daemon=True)

    def start(self) -> None:
        """Begin to fetch, the first time at once."""
        self._watching.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop; no call is made after the return. A fetch that is under way is not waited for."""
        self._stop.set()
        self._watching.stop()

    def _run(self) -> None:
        failing = False
        while not self._stop.is_set():
            try:
                fetch(*self._asked)
                failing = False
            except SourceError as error:
                if not failing:
                    _logger.warning("%s It is tried again every %g s.", error, self._interval)
                failing = True
            self._stop.wait(self._interval)


class SaveTrigger(_Trigger):
    """Calls ``on_settled()`` when files of the package changed and then rested for ``debounce_ms`` milliseconds.

    ``also`` tells which other folders and single files belong to it now. Byte-code, caches and the temporary files of
    editors do not count. Files that change without a rest are taken as they are after ten seconds.
    """

    def __init__(
        self,
        package_dir: Path,
        on_settled: Callable[[], None],
        debounce_ms: int = 50,
        *,
        also: Callable[[], Iterable[Path]] = tuple,
    ) -> None:
        self._root = package_dir.resolve()
        self._also = also
        self._on_settled = on_settled
        self._unrest_began: float | None = None
        super().__init__(f"save trigger for {package_dir}", _SourceFilter(self._paths), max(1, debounce_ms))
        if not self._root.is_dir():
            raise TriggerError(f"{package_dir} is no directory, so it cannot be watched; correct the path.")

    def _paths(self) -> list[Path]:
        others = (path.resolve() for path in self._also())
        return [self._root, *(path for path in others if path != self._root and path.exists())]

    def _react(self, changed: bool) -> None:
        now = time.monotonic()
        if changed and self._unrest_began is None:
            self._unrest_began = now
        if self._unrest_began is None or (changed and now - self._unrest_began < _LONGEST_UNREST_SECONDS):
            return
        self._unrest_began = None
        self._on_settled()

    def _unsettled(self) -> bool:
        return self._unrest_began is not None


class _SourceFilter(watchfiles.DefaultFilter):
    """The usual filter, asked about paths below the roots only: where a root lies is no reason to ignore it."""

    ignore_entity_patterns = (
        *watchfiles.DefaultFilter.ignore_entity_patterns,
        r"^4913$",  # Vim tries whether it can write
        r"^#.*#$",
        r"^\.goutputstream-",
        r"^\.nfs",
        r"___jb_(old|tmp)___$",
        r"\.kate-swp$",
    )

    def __init__(self, roots: Callable[[], Iterable[Path]]) -> None:
        super().__init__()
        self._roots = roots

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        below = (Path(path).relative_to(root) for root in self._roots() if Path(path).is_relative_to(root))
        return super().__call__(change, str(next(below, path)))


def _is_no_lock(_: watchfiles.Change, path: str) -> bool:
    return not path.endswith(".lock")


def _open(repo: Path) -> git.Repo:
    try:
        return git.Repo(repo, search_parent_directories=True)
    except (git.exc.InvalidGitRepositoryError, git.exc.NoSuchPathError) as error:
        raise TriggerError(
            f"{repo} is in no git working tree; run `git init` there or name another directory."
        ) from error


def _signal_directory(repo: git.Repo) -> Path:
    """Where the hook leaves the id of the commit; without it the hook does nothing."""
    path = Path(repo.git_dir) / "hotswap"
    path.mkdir(exist_ok=True)
    return path


def _install(hook: Path) -> None:
    kept = hook.with_name(f"{hook.name}.{_KEPT}")
    if os.path.lexists(hook) and not _is_ours(hook):
        if os.path.lexists(kept):
            raise TriggerError(f"Both {hook} and {kept} exist and neither is hotswap's; remove or merge one of them.")
        hook.rename(kept)
    new = hook.with_name(f"{hook.name}.{os.getpid()}.new")
    new.write_text(_HOOK)
    new.chmod(0o755)
    new.replace(hook)


def _is_ours(hook: Path) -> bool:
    return hook.is_file() and _MARK.encode() in hook.read_bytes()


def _inodes(paths: list[Path]) -> dict[Path, tuple[int, int]]:
    found = [(path, path.stat()) for path in paths]
    return {path: (status.st_dev, status.st_ino) for path, status in found}
