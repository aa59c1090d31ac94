"""``lab prompts | answer``: what the laboratory asks people."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli._common import as_json, client_of, config_of, in_lab, print_facts, tell


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that were answered or withdrawn.")
@as_json
@in_lab
def prompts(folder: Path | None, everything: bool, as_json: bool) -> None:
    """List what tasks and devices ask a person.

    \b
    Example:
      lab prompts
    """
    from lab import display

    found = client_of(config_of(folder)).prompts(None if everything else "PENDING")
    print_facts(as_json, found, display.show_prompts)


@click.command()
@click.argument("prompt")
@click.argument("answer", required=False)
@click.option("--note", help="What else there is to say; whoever asked can read it.")
@as_json
@in_lab
def answer(folder: Path | None, prompt: str, answer: str | None, note: str | None, as_json: bool) -> None:
    """Answer a PROMPT with one of its options.

    PROMPT is an id, which may be shortened. ANSWER may be left out where there is only one option.

    \b
    Examples:
      lab answer 3f9a81cc
      lab answer 3f9a81cc retry --note "the crucible is whole"
    """
    facts = client_of(config_of(folder)).answer(prompt, answer, note)
    tell(as_json, facts, f"Answered {facts['answer']!r} to: {facts['text']}")
