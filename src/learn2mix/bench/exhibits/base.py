"""What an exhibit is: a table or a figure, as the runs it takes and the way it shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learn2mix.bench.analysis.figures import TaskSummary
from learn2mix.bench.analysis.stats import Estimate
from learn2mix.bench.analysis.wording import Block
from learn2mix.bench.lookup import find_task
from learn2mix.bench.methods.base import Method
from learn2mix.bench.tasks.base import Task
from learn2mix.bench.variants import folder_name, vary

Published = Mapping[str, tuple[Estimate | None, ...]]
"""By method, what the paper states at each of :data:`FRACTIONS` of the budget, in the task's own metric, None for nothing."""


OPEN = "no run is stored"
"""What is said of a panel that there are no runs of."""


@dataclass(frozen=True)
class Panel:
    """One task of an exhibit.

    Args:
        task: The task's name.
        changes: What differs from the task as it is registered; see :func:`learn2mix.bench.variants.vary`.
        label: What sets the panel apart from others of the same task, in words.
        methods: The methods, by name or made; empty for those that are asked for.
        published: The paper's figures.
        length: The budget as a multiple of the task's E.
        remark: What a reader must know to compare it with the paper.
        tuned: Whether every method gets a learning rate and a setting of its own, all by equally many trials.
        stand_in: Whether it stands in for another panel on a small machine, and is left out unless asked for.
    """

    task: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    methods: tuple[str | Method, ...] = ()
    published: Published = field(default_factory=dict)
    length: float = 1.0
    remark: str = ""
    tuned: bool = False
    stand_in: bool = False

    def varied(self) -> Task:
        """Return the task under the panel's settings."""
        return vary(self.task, **self.changes)

    @property
    def folder(self) -> str:
        """The name of the folder of its runs."""
        return folder_name(self.varied()) + ("+tuned" if self.tuned else "")

    @property
    def title(self) -> str:
        """The task, and what sets the panel apart."""
        return f"{self.task}, {self.label}" if self.label else self.task

    @property
    def inline(self) -> str:
        """The title as a part of a list."""
        return f"{self.task} ({self.label})" if self.label else self.task

    @property
    def budget(self) -> float:
        """Its budget in epochs."""
        return find_task(self.task).epochs * self.length

    def epochs(self, fraction: float = 1.0) -> int:
        """Return a part of its budget in epochs, at least 1."""
        return max(1, round(self.budget * fraction))


@dataclass(frozen=True)
class Shown:
    """A panel with the figures of its runs.

    Args:
        panel: The panel.
        summary: Its figures, None where there is no run.
        fraction: The part of the panel's budget that was asked for.
        missing: How many of the runs that were asked for there are not.
        tuning: How the methods were tuned, in words.
    """

    panel: Panel
    summary: TaskSummary | None
    fraction: float = 1.0
    missing: int = 0
    tuning: str = ""


View = Callable[["Exhibit", "list[Shown]"], "list[Block]"]
Plot = Callable[["Exhibit", "list[Shown]", Path], None]


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of the paper, or a study of ours.

    Args:
        name: The name people type.
        title: What it shows.
        panels: Its tasks.
        view: Makes its tables.
        plot: Draws it; None for tables alone.
        of_paper: Whether it is the paper's.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]
    view: View
    plot: Plot | None = None
    of_paper: bool = True
