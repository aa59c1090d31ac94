"""What the laboratory asks people."""

from __future__ import annotations

from rich.console import Console

from lab.display._tables import Column, Document, show, time


def show_prompts(console: Console, prompts: list[Document]) -> None:
    if not prompts:
        console.print("nobody waits for an answer")
    columns: list[Column] = [
        ("prompt", lambda prompt: prompt["id"]),
        ("status", lambda prompt: prompt["status"]),
        ("asked", lambda prompt: time(prompt["asked_at"])),
        ("what", lambda prompt: prompt["category"]),
        ("by", lambda prompt: prompt["device"] or prompt["task"]),
        ("options", lambda prompt: ", ".join(prompt["options"])),
        ("answer", _answer),
    ]
    show(console, "prompts", prompts, columns, lambda prompt: str(prompt["text"]))


def asked(task: Document) -> str:
    """For what a task waits that a person has to do; empty if for nothing."""
    return "; ".join(
        f"waits for a person: {each['text']} (lab answer {each['id']})" for each in task.get("prompts", ())
    )


def _answer(prompt: Document) -> str:
    if prompt["answer"] is None:
        return ""
    return f"{prompt['answer']} by {prompt['actor']}" + (f": {prompt['note']}" if prompt["note"] else "")
