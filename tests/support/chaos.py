"""``python tests/support/chaos.py --kills 300 --seed 1``: kill the processes of labs at work, and look them over.

Prints what is killed and how often. With ``--results FILE`` the seed and the counts are written there.
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
from chaos_strikes import AT_RANDOM, Round, plan

_KILLS_PER_LABORATORY = 30


def main() -> None:
    options = _options()
    rng = random.Random(options.seed)
    print(f"seed {options.seed}, {options.kills} kills", flush=True)
    rounds = plan(rng, options.kills)
    done: list[Chaos] = []
    for number, part in enumerate(_parts(rounds), start=1):
        with tempfile.TemporaryDirectory(prefix="chaos", ignore_cleanup_errors=True) as folder:
            try:
                done.append(attack(Path(folder), rng, part, lambda text: print(text, flush=True)))
            except ChaosError as error:
                kept = Path(tempfile.mkdtemp(prefix="chaos-kept-"))
                Path(folder).rename(kept / "laboratory")
                sys.exit(f"seed {options.seed}, laboratory {number}: {error}\nIts files are in {kept}.")
        print(f"{sum(len(chaos.striker.killed) for chaos in done)} of {options.kills} kills", flush=True)
    results = {"seed": options.seed, **summary(done)}
    print(json.dumps(results, indent=2))
    if options.results is not None:
        options.results.write_text(json.dumps(results, indent=2) + "\n")


def summary(done: list[Chaos]) -> dict[str, Any]:
    """How often what was killed, and what the operator had to decide."""
    killed = [each for chaos in done for each in chaos.striker.killed]
    return {
        "laboratories": len(done),
        "kills": len(killed),
        "kills_at_a_step": sum(each.step != AT_RANDOM for each in killed),
        "by_process": _counts(each.kind for each in killed),
        "by_step": _counts(each.step.partition(" ")[2] for each in killed if each.step != AT_RANDOM),
        "steps_that_did_not_come": sum(len(chaos.striker.missed) for chaos in done),
        "experiments": sum(len(chaos.submitted) for chaos in done),
        "decisions": dict(sum((chaos.operator.decisions for chaos in done), Counter[str]())),
        "devices_released": sum(chaos.releases for chaos in done),
        "calls_with_old_fences_refused": sum(chaos.ghosts for chaos in done),
        "violations": 0,
    }


def _counts(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _parts(rounds: list[Round]) -> list[list[Round]]:
    parts: list[list[Round]] = [[]]
    for each in rounds:
        if sum(len(earlier.strikes) for earlier in parts[-1]) >= _KILLS_PER_LABORATORY:
            parts.append([])
        parts[-1].append(each)
    return parts


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill the processes of laboratories at work, and look them over.")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--results", type=Path, help="write the seed and the counts to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
