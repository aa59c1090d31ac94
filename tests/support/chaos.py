"""``python tests/support/chaos.py --kills 300 --seed 1``: kill the processes of labs at work, and look them over.

Prints what is killed and how often, and leaves with 3 when something did not hold that must. With ``--every-step`` it
goes on until each process was killed at each step of both cutovers. With ``--results FILE`` seed and counts are written
there.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from chaos_rounds import Chaos, ChaosError, attack
from chaos_strikes import AT_RANDOM, Plan

VIOLATED = 3
_KILLS_PER_LABORATORY = 30


def main() -> None:
    options = _options()
    rng = random.Random(options.seed)
    print(f"seed {options.seed}, {options.kills} kills", flush=True)
    plan = Plan(rng)
    rounds = plan.rounds()
    done: list[Chaos] = []
    while (left := options.kills - _kills(done)) > 0 or (options.every_step and plan.left):
        kills = min(left, _KILLS_PER_LABORATORY) if left > 0 else _KILLS_PER_LABORATORY
        with tempfile.TemporaryDirectory(prefix="chaos", ignore_cleanup_errors=True) as folder:
            try:
                done.append(attack(Path(folder), rng, rounds, kills, lambda text: print(text, flush=True)))
            except ChaosError as error:
                kept = Path(tempfile.mkdtemp(prefix="chaos-kept-"))
                Path(folder).rename(kept / "laboratory")
                _give_up(f"seed {options.seed}, laboratory {len(done) + 1}: {error}\nIts files are in {kept}.")
        print(f"{_kills(done)} kills; {plan.left} of process and step are left", flush=True)
    rounds.close()
    results = {"seed": options.seed, **summary(done), **coverage(plan)}
    print(json.dumps(results, indent=2))
    if options.results is not None:
        options.results.write_text(json.dumps(results, indent=2) + "\n")


def coverage(plan: Plan) -> dict[str, Any]:
    """How often each process was killed at each step."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for (way, step, kind), count in sorted(plan.struck.items()):
        table.setdefault(way, {}).setdefault(step, {})[kind] = count
    return {"steps_times_processes": len(plan.struck), "never_struck": plan.never_struck(), "at_steps": table}


def _kills(done: list[Chaos]) -> int:
    return sum(len(chaos.striker.killed) for chaos in done)


def _give_up(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.exit(VIOLATED)


def summary(done: list[Chaos]) -> dict[str, Any]:
    """How often what was killed, and what the operator had to decide."""
    killed = [each for chaos in done for each in chaos.striker.killed]
    return {
        "laboratories": len(done),
        "kills": len(killed),
        "kills_at_a_step": sum(each.step != AT_RANDOM for each in killed),
        "by_process": _counts(each.kind for each in killed),
        "steps_that_did_not_come": sum(len(chaos.striker.missed) for chaos in done),
        "experiments": sum(len(chaos.submitted) for chaos in done),
        "decisions": dict(sum((chaos.operator.decisions for chaos in done), Counter[str]())),
        "devices_released": sum(chaos.releases for chaos in done),
        "calls_with_old_fences_refused": sum(chaos.ghosts for chaos in done),
        "violations": 0,
    }


def _counts(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill the processes of laboratories at work, and look them over.")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--every-step", action="store_true", help="go on until each process was killed at each step")
    parser.add_argument("--results", type=Path, help="write the seed and the counts to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
