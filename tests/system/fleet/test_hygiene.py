"""What a version process takes over from its parents, and what it must not; each rule for forked and spawned ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
from pathlib import Path

import psutil
import pytest
from fleets import ENTRY, SECRET, THREAD, Freeze, StartFleet, ask, parents, processes_below

from hotswap import wire
from hotswap.errors import DescribeError, ProcessError
from hotswap.fleet import Fleet
from hotswap.process import Identity
from hotswap.store import Store

pytestmark = pytest.mark.system


def _open_files(identity: Identity) -> dict[str, str]:
    """What each descriptor of a process leads to; sockets and pipes by a number that tells them apart."""
    found = {}
    for path in Path(f"/proc/{identity.pid}/fd").iterdir():
        try:
            found[path.name] = str(path.readlink())
        except FileNotFoundError:
            continue
    return found


def test_a_process_leads_its_own_session(fleet: Fleet, freeze_either: Freeze) -> None:
    assert ask(fleet.ensure("one", freeze_either(1), ENTRY, {}), "session")


def test_a_process_shares_no_socket_and_no_pipe_with_its_parents_and_siblings(
    fleet: Fleet, freeze_either: Freeze
) -> None:
    snapshot = freeze_either(1)
    identities = [fleet.ensure(f"p{i}", snapshot, ENTRY, {}).identity for i in range(3)] + parents(fleet)
    shared = [set(_open_files(identity).values()) for identity in identities]
    private = [{each for each in files if each.startswith(("socket:", "pipe:"))} for files in shared]
    assert len(set.union(*private)) == sum(map(len, private)) > 0


def test_siblings_have_equally_many_descriptors(fleet: Fleet, freeze_either: Freeze) -> None:
    snapshot = freeze_either(1)
    counts = [len(_open_files(fleet.ensure(f"p{i}", snapshot, ENTRY, {}).identity)) for i in range(3)]
    assert counts[0] == counts[1] == counts[2]


def test_a_process_has_no_file_open_but_its_log_and_the_lock_on_its_snapshot(
    fleet: Fleet, store: Store, freeze_either: Freeze
) -> None:
    snapshot = freeze_either(1)
    opened = _open_files(fleet.ensure("one", snapshot, ENTRY, {}).identity)
    standard = [opened.pop(descriptor) for descriptor in "012"]
    assert standard[0] == "/dev/null"
    assert standard[1] == standard[2]
    assert Path(standard[1]).name == "one.log"
    files = [each for each in opened.values() if each.startswith("/")]
    assert files == [str(store.root / "manifests" / f"{snapshot}.json")]


def test_the_end_of_a_template_is_seen_though_its_children_live(fleet: Fleet, freeze_either: Freeze) -> None:
    worker = fleet.ensure("one", freeze_either(1), ENTRY, {})
    (template,) = [each for each in fleet.processes() if each["kind"] == "template"]
    host, port = template["address"]
    with wire.Client((host, port), SECRET, timeout=30) as client, pytest.raises(ConnectionError):
        Identity.from_dict(template["identity"]).kill()
        client.call("exit_code", pid=0)  # a child that held the connection would hide its end: a timeout
    assert worker.identity.alive()


LOCKED = """
import threading
LOCK, taken = threading.Lock(), threading.Event()

def now_and_then():
    with LOCK:
        taken.set()
        threading.Event().wait(0.3)

threading.Thread(target=now_and_then, name="keeper", daemon=True).start()
taken.wait()
"""
USES_THE_LOCK = """
from hotswap.process import serve
from . import LOCK
def main(context):
    serve(context, {"got": lambda: LOCK.acquire(timeout=10)}, idle=lambda: True)
"""


def test_a_lock_that_a_thread_held_during_the_import_can_be_taken(fleet: Fleet, freeze: Freeze) -> None:
    snapshot = freeze(1, init=LOCKED, user=USES_THE_LOCK)
    assert ask(fleet.ensure("one", snapshot, "sample_app.user:main", {}), "got")


DRAWS = """
import random, secrets, uuid
import numpy.random
from hotswap.process import serve

def draws():
    return [str(random.random()), str(numpy.random.random()), secrets.token_hex(), str(uuid.uuid4())]

def main(context):
    serve(context, {"draws": draws}, idle=lambda: True)
"""


def test_random_numbers_tokens_and_uuids_differ_between_siblings(fleet: Fleet, freeze_either: Freeze) -> None:
    snapshot = freeze_either(1, noise=DRAWS)
    drawn = [ask(fleet.ensure(f"p{i}", snapshot, "sample_app.noise:main", {}), "draws") for i in range(3)]
    assert [len(set(column)) for column in zip(*drawn, strict=True)] == [3, 3, 3, 3]


def test_numpy_is_no_reason_to_spawn(fleet: Fleet, freeze: Freeze) -> None:
    assert fleet.describe(freeze(1, noise=DRAWS))["forks"]


RUDE = """
import os, resource, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGTERM])
os.umask(0o777)
"""


def test_signal_handlers_that_an_import_installed_are_gone(fleet: Fleet, freeze_either: Freeze) -> None:
    started = fleet.ensure("one", freeze_either(1, init=RUDE), ENTRY, {})
    assert set(ask(started, "handlers")) == {str(signal.SIG_DFL)}


def test_signals_that_an_import_blocked_are_let_through(fleet: Fleet, freeze_either: Freeze) -> None:
    started = fleet.ensure("one", freeze_either(1, init=RUDE), ENTRY, {})
    assert ask(started, "blocked") == []
    os.kill(started.identity.pid, signal.SIGTERM)
    assert started.identity.wait(10)


def test_the_umask_is_that_of_the_fleet(fleet: Fleet, freeze_either: Freeze) -> None:
    mask = os.umask(0o077)
    os.umask(mask)
    assert ask(fleet.ensure("one", freeze_either(1, init=RUDE), ENTRY, {}), "umask") == mask


def test_the_limits_of_the_import_do_not_hold_for_work(fleet: Fleet, freeze_either: Freeze) -> None:
    mine = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)]
    assert ask(fleet.ensure("one", freeze_either(1), ENTRY, {}), "limits") == mine


def test_a_snapshot_that_leaves_nothing_behind_is_forked(fleet: Fleet, freeze: Freeze) -> None:
    told = fleet.describe(freeze(1))
    assert (told["forks"], told["spawned_because"]) == (True, [])


PROGRAM = "import subprocess\nCHILD = subprocess.Popen(['sleep', '60'])\n"
FORKED = """
import multiprocessing, time
CHILD = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), name="poller")
CHILD.start()
"""


def test_a_process_of_multiprocessing_is_told_by_its_name(fleet: Fleet, freeze: Freeze) -> None:
    told = fleet.describe(freeze(1, culprit=FORKED))
    assert "sample_app.culprit started the process 'poller'" in told["spawned_because"]


def test_a_process_that_was_waited_for_is_no_reason_to_spawn(fleet: Fleet, freeze: Freeze) -> None:
    assert fleet.describe(freeze(1, tidy="import subprocess\nsubprocess.run(['true'], check=True)\n"))["forks"]


@pytest.mark.parametrize("broken", ["", "raise ValueError('after it')"], ids=["imports", "does not import"])
def test_a_process_that_an_import_started_ends_with_the_template(
    start_fleet: StartFleet, freeze: Freeze, tmp_path: Path, broken: str
) -> None:
    snapshot, fleet = freeze(1, culprit=PROGRAM + broken), start_fleet()
    with contextlib.suppress(DescribeError):
        fleet.describe(snapshot)
    fleet.release(snapshot)
    _, left = psutil.wait_procs([each for each in processes_below(tmp_path) if each.name() == "sleep"], timeout=10)
    assert left == []


CONNECTS = """
import socket
PEER = socket.create_connection(("127.0.0.1", {port}))
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (THREAD, "sample_app.culprit started the thread 'poller'"),
        ("LOG = open(__file__)\n", r"sample_app.culprit opened \S+/sample_app/culprit.py"),
        ("import os\nPIPE = os.pipe()\n", r"sample_app.culprit opened pipe:\[\d+\]"),
        (PROGRAM, "sample_app.culprit started the process 'sleep 60'"),
        ("import random\nRNG = random.Random(1)\n", "sample_app.culprit keeps the random generator RNG"),
        (
            "import random\nclass Noise:\n    rng = random.Random()\n",
            "sample_app.culprit keeps the random generator Noise.rng",
        ),
        ("import random\nRNGS = [[random.Random()]]\n", "the import keeps a random generator of random"),
        ("import numpy\nRNG = numpy.random.default_rng(1)\n", "sample_app.culprit keeps the random generator RNG"),
        ("import numpy\nRNG = numpy.random.RandomState(1)\n", "sample_app.culprit keeps the random generator RNG"),
    ],
    ids=[
        *("thread", "file", "pipe", "process", "generator", "generator of a class", "hidden generator"),
        *("numpy's generator", "numpy's older generator"),
    ],
)
def test_what_an_import_leaves_is_told_with_the_module_that_did_it(
    fleet: Fleet, freeze: Freeze, text: str, reason: str
) -> None:
    told = fleet.describe(freeze(1, init="from . import innocent, culprit, later", innocent="", culprit=text, later=""))
    assert not told["forks"]
    (because,) = told["spawned_because"]
    assert re.fullmatch(reason, because)


def test_a_connection_that_an_import_opened_is_told_with_its_address(fleet: Fleet, freeze: Freeze) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = fleet.describe(freeze(1, client=CONNECTS.format(port=port)))
    assert told["spawned_because"] == [f"sample_app.client opened a connection to 127.0.0.1:{port}"]


def test_a_process_that_was_spawned_says_why(fleet: Fleet, freeze: Freeze) -> None:
    text = "import threading\nthreading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n"
    fleet.ensure("a", freeze(1, culprit=text, init="from . import culprit"), ENTRY, {})
    (shown,) = (each for each in fleet.processes() if each["name"] == "a")
    assert shown["state"] == "running"
    assert ["culprit" in reason for reason in shown["spawned_because"]] == [True]


def test_what_is_closed_before_the_import_ends_is_no_reason_to_spawn(fleet: Fleet, freeze: Freeze) -> None:
    text = "import socket, threading\nsocket.socket().close()\nt = threading.Thread(target=int)\nt.start()\nt.join()\n"
    assert fleet.describe(freeze(1, tidy=text))["forks"]


def test_a_system_generator_is_no_reason_to_spawn(fleet: Fleet, freeze: Freeze) -> None:
    assert fleet.describe(freeze(1, tidy="import random\nRNG = random.SystemRandom()\n"))["forks"]


def test_preloading_something_that_starts_a_thread_makes_templates_spawned(
    start_fleet: StartFleet, freeze: Freeze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "threaded_library.py").write_text(THREAD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fleet = start_fleet(preload=["threaded_library"])
    snapshot = freeze(1)
    assert fleet.describe(snapshot)["forks"]
    assert ask(fleet.ensure("one", snapshot, ENTRY, {}), "version") == 1
    assert "threaded_library started the thread 'poller'" in (tmp_path / "run" / "zygote.log").read_text()


TELLS = """
from pathlib import Path
def told(package):
    return {{"is": Path({path!r}).read_text()}}
"""


def test_a_template_that_describes_itself_differently_after_a_restart_is_refused(
    start_fleet: StartFleet, freeze: Freeze, tmp_path: Path
) -> None:
    fact = tmp_path / "fact"
    fact.write_text("one")
    snapshot = freeze(1, teller=TELLS.format(path=str(fact)))
    first = start_fleet(hook="sample_app.teller:told")
    assert first.describe(snapshot)["told"] == {"is": "one"}
    first.close()
    fact.write_text("two")
    second = start_fleet(hook="sample_app.teller:told")
    second.release(snapshot)
    with pytest.raises(DescribeError, match=r"differently than before, first in told/is: 'one', then 'two'; make"):
        second.describe(snapshot)
    fact.write_text("one")
    assert second.describe(snapshot)["told"] == {"is": "one"}


ENDS = """
import os, signal
def returns(context): pass
def raises(context): raise ValueError("no good")
"""


@pytest.mark.parametrize(("entry", "outcome"), [("returns", "returned"), ("raises", "ValueError: no good")])
def test_a_process_leaves_a_record_of_its_end(
    start_fleet: StartFleet, freeze_either: Freeze, tmp_path: Path, entry: str, outcome: str
) -> None:
    snapshot = freeze_either(1, ends=ENDS)
    with pytest.raises(ProcessError, match=outcome):
        start_fleet().ensure("one", snapshot, f"sample_app.ends:{entry}", {})
    record = json.loads((tmp_path / "run" / "one.exit.json").read_text())
    assert (record["name"], record["snapshot"], record["outcome"]) == ("one", snapshot, outcome)
    assert not Identity.from_dict(record["identity"]).alive()
