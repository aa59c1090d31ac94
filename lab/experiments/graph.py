"""An experiment drawn: its tasks, and which comes after which."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def mermaid(experiment: Document) -> str:
    """A Mermaid flowchart of an experiment as it is submitted."""
    tasks = experiment["tasks"]
    nodes = [f'  t{number}["{_quoted(_label(number, task))}"]' for number, task in enumerate(tasks)]
    return "\n".join(["flowchart TD", *nodes, *(f"  t{before} --> t{after}" for before, after in _edges(tasks))]) + "\n"


def plot(experiment: Document, ax: Any = None) -> Any:
    """Draw it with matplotlib, earlier tasks above later ones; returns the axes. Raises ImportError without that."""
    tasks = experiment["tasks"]
    axes = _new_axes() if ax is None else ax
    places = _places(tasks)
    for before, after in _edges(tasks):
        arrow = {"arrowstyle": "->", "shrinkA": 15, "shrinkB": 15}
        axes.annotate("", xy=places[after], xytext=places[before], arrowprops=arrow)
    for number, task in enumerate(tasks):
        axes.text(
            *places[number], _label(number, task), ha="center", va="center", bbox={"boxstyle": "round", "fc": "w"}
        )
    axes.set_xlim(-1, max((x for x, _ in places), default=0) + 1)
    axes.set_ylim(min((y for _, y in places), default=0) - 1, 1)
    axes.set_title(experiment["name"])
    axes.set_axis_off()
    return axes


def _new_axes() -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def _places(tasks: list[Document]) -> list[tuple[float, float]]:
    """Each task one row below the lowest of those it comes after, beside the others of its row."""
    rows: dict[int, int] = {}
    for number, task in enumerate(tasks):
        rows[number] = 1 + max((rows.get(before, 0) for before in task["prev_tasks"]), default=-1)
    columns: dict[int, int] = {}
    places = []
    for number in range(len(tasks)):
        columns[rows[number]] = columns.get(rows[number], -1) + 1
        places.append((float(columns[rows[number]]), -float(rows[number])))
    return places


def _edges(tasks: list[Document]) -> list[tuple[int, int]]:
    return [(before, number) for number, task in enumerate(tasks) for before in task["prev_tasks"]]


def _label(number: int, task: Document) -> str:
    samples = ", ".join(task["samples"])
    title = f"{number} {task['type']}"
    return f"{title}\n{samples}" if samples else title


def _quoted(text: str) -> str:
    return text.replace('"', "#quot;").replace("\n", "<br>")
