"""What the paper leaves open: each question with the runs that answer it."""

from __future__ import annotations

from dataclasses import replace

from learn2mix.bench.exhibits import against, plots, shift, views
from learn2mix.bench.exhibits.base import Exhibit, Panel
from learn2mix.bench.exhibits.published import TABLE_2, as_stratified
from learn2mix.bench.exhibits.verdicts import verdicts
from learn2mix.bench.methods import Learn2Mix

_PLAIN = ("classical", "learn2mix", "natural", "balanced")
_CONTROLS = (*_PLAIN, "one-shot", "yoked", "learn2mix-weighted", "group-dro")
_TUNED = (*_PLAIN, "learn2mix-weighted", "group-dro", "importance", "focal", "logit-adjusted")
_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_SMALL = ("digits", "mean-estimation", "wine-quality", "california-housing")
_RECONSTRUCTIONS = ("mnist-reconstruction", "fashion-mnist-reconstruction")

_ALL = (
    *_SMALL,
    *_RECONSTRUCTIONS,
    "cifar10-reconstruction",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "imdb-200",
)
_LONG_TAILED = Panel(
    "fashion-mnist",
    {"profile": "exponential", "imbalance_factor": 100},
    "exponential, 1:100, half the budget",
    length=0.5,
)
_JOINT = "as the authors' code does; the paper's classical regressions use stratified batches, which here are natural"


def _joint(task: str) -> Panel:
    return Panel(
        f"{task}-joint",
        methods=_PLAIN,
        published=as_stratified(TABLE_2[task]),
        remark=f"features standardised over training and test rows together, {_JOINT}",
    )


STUDIES = (
    Exhibit(
        "methods",
        "Every method at the tasks' own settings",
        (
            Panel("digits"),
            Panel("california-housing"),
            _LONG_TAILED,
        ),
        views.with_cost,
        plots.differences,
        of_paper=False,
    ),
    Exhibit(
        "verdicts",
        "Where learn2mix does better, and where it does not",
        (*(Panel(task) for task in _ALL), _LONG_TAILED),
        verdicts,
        of_paper=False,
    ),
    Exhibit(
        "standardising",
        "Why two regressions learn faster here than in the paper: standardising",
        (_joint("wine-quality"), _joint("california-housing")),
        views.beside_the_paper,
        plots.by_epoch,
        of_paper=False,
    ),
    Exhibit(
        "tuned",
        "Every method with a learning rate and setting of its own, from equally many trials",
        (
            *(Panel(task, label="tuned", methods=_TUNED, tuned=True) for task in _SMALL),
            Panel("fashion-mnist", label="tuned, half the budget", methods=_TUNED, tuned=True, length=0.5),
        ),
        against.tuned,
        plots.by_epoch,
        of_paper=False,
    ),
    Exhibit(
        "mixing-rate",
        "How much hangs on the mixing rate",
        tuple(
            Panel(task, methods=("classical", "natural", *(Learn2Mix(mixing_rate=rate) for rate in _RATES)))
            for task in ("digits", "wine-quality")
        ),
        views.at_the_end,
        plots.by_epoch,
        of_paper=False,
    ),
    Exhibit(
        "batch-size",
        "How much hangs on the batch size",
        tuple(
            Panel("digits", {"batch_size": size} if size != 32 else {}, f"batches of {size}", _PLAIN)
            for size in (8, 16, 32, 64, 128)
        ),
        views.at_the_end,
        plots.by_epoch,
        of_paper=False,
    ),
    Exhibit(
        "imbalance",
        "Patterns and degrees of imbalance",
        (
            Panel("digits", {"profile": "none"}, "no imbalance", _PLAIN),
            *(
                Panel("digits", {"profile": profile, "imbalance_factor": factor}, f"{profile}, 1:{factor}", _PLAIN)
                for profile, factor in (
                    ("step", 2),
                    ("step", 5),
                    ("step", 10),
                    ("linear", 10),
                    ("logarithmic", 10),
                    ("exponential", 10),
                )
            ),
            *(
                Panel(
                    "fashion-mnist",
                    {"profile": profile, "imbalance_factor": 100},
                    f"{profile}, 1:100, half the budget",
                    _PLAIN,
                    length=0.5,
                )
                for profile in ("step", "exponential")
            ),
        ),
        views.at_the_end,
        plots.by_epoch,
        of_paper=False,
    ),
    Exhibit(
        "shift",
        "When the class mix of the test set is another",
        tuple(replace(panel, methods=_PLAIN) for panel in (*map(Panel, (*_SMALL, *_RECONSTRUCTIONS)), _LONG_TAILED)),
        shift.under_shift,
        of_paper=False,
    ),
    Exhibit(
        "convergence",
        "Trained far beyond the budget",
        (
            Panel("digits", label="ten times the budget", methods=_PLAIN, length=10),
            Panel("wine-quality", label="five times the budget", methods=_PLAIN, length=5),
        ),
        views.at_the_end,
        plots.by_epoch,
        of_paper=False,
    ),
    Exhibit(
        "controls",
        "What adapting adds: learn2mix against its controls",
        tuple(replace(panel, methods=_CONTROLS) for panel in (*map(Panel, _SMALL), _LONG_TAILED)),
        against.controls,
        of_paper=False,
    ),
)
"""In the order in which they are best read."""
