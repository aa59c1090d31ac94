"""Experiment templates and what they take."""

from __future__ import annotations

from rich.console import Console

from lab.display._tables import Column, Document, show


def show_templates(console: Console, templates: list[Document]) -> None:
    if not templates:
        console.print("no templates")
    columns: list[Column] = [
        ("template", lambda each: each["name"]),
        ("parameters", lambda each: " ".join(_parameters(each["schema"]))),
        ("", lambda each: each["description"]),
    ]
    show(console, "templates", templates, columns)


def _parameters(schema: Document) -> list[str]:
    required = schema.get("required", [])
    return [name if name in required else f"[{name}]" for name in schema.get("properties", {})]
