"""Static mixing: proportions that never move."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from learn2mix.checks import Range, brief, number
from learn2mix.policies.base import BasePolicy, Floats, State, check_proportions
from learn2mix.registry import register

_TEMPERATURES = {"natural": 1.0, "square-root": 2.0, "balanced": math.inf}


@register(
    "static",
    family="policy",
    summary="fixed proportions: natural, balanced, square-root, tempered or given",
    example={"mix": "balanced"},
    reference="temperature: Devlin et al. (multilingual BERT); Arivazhagan et al., arXiv 1907.05019",
)
@dataclass(frozen=True)
class Static(BasePolicy):
    """Keep the proportions fixed.

    ``alpha_i`` is proportional to ``n_i ** (1 / temperature)``, n_i being the group's size, or is given.

    Args:
        mix: ``"natural"`` (the training set's own, temperature 1), ``"square-root"`` (temperature 2), ``"balanced"``
            (all equal, infinite temperature), or the proportions themselves: k numbers of 0 or more that sum to 1, in
            the order of ``mixer.group_names``.
        temperature: Above 0, instead of ``mix``: 1 is natural, more is flatter, less is sharper.

    Raises:
        TypeError: ``mix`` is neither a name nor numbers, or ``temperature`` no number.
        ValueError: The name is unknown, the temperature not positive, both are given, or, when a Mixer is made, the
            proportions are not k numbers that sum to 1.

    Example:
        >>> import numpy as np
        >>> sizes = np.array([0.9, 0.1])
        >>> Static("balanced").init(sizes).proportions
        array([0.5, 0.5])
        >>> Static("square-root").init(sizes).proportions
        array([0.75, 0.25])
        >>> Static(temperature=2).init(sizes).proportions
        array([0.75, 0.25])
        >>> Static([0.3, 0.7]).init(sizes).proportions
        array([0.3, 0.7])
    """

    adaptive: ClassVar[bool] = False

    mix: str | Sequence[float] = "natural"
    temperature: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.mix, str):
            if self.mix not in _TEMPERATURES:
                raise ValueError(
                    f"Static's mix was {self.mix!r}; it must be one of {', '.join(map(repr, _TEMPERATURES))}, or the "
                    "proportions themselves"
                )
        else:
            if isinstance(self.mix, Mapping):
                raise TypeError(
                    f"Static's mix was {brief(self.mix)}; it must be the shares alone, in the order of mixer.group_names: "
                    "[mix[name] for name in mixer.group_names]"
                )
            try:
                given = tuple(float(share) for share in self.mix)
            except (TypeError, ValueError):
                raise TypeError(
                    f"Static's mix was {brief(self.mix)}; it must be a name such as 'balanced', or a sequence of numbers"
                ) from None
            object.__setattr__(self, "mix", given)
        if self.temperature is not None:
            number("Static's temperature", self.temperature, Range(0, low_open=True), fix="1 is natural, 2 square root")
            if self.mix != "natural":
                raise ValueError(
                    f"Static was given both mix {brief(self.mix)} and temperature {self.temperature!r}; give one of them"
                )

    def init(self, prior: Floats) -> State:
        """Give the fixed proportions for groups with these shares of the training set, (k,)."""
        prior = np.asarray(prior, dtype=np.float64)
        if not isinstance(self.mix, str):
            return State(check_proportions(self.mix, len(prior), "Static's mix"))
        powered = (prior / prior.max()) ** (1 / (self.temperature or _TEMPERATURES[self.mix]))
        return State(powered / powered.sum())

    def update(self, state: State, losses: Floats, *, counts: Floats, **signals: Any) -> State:
        """Return the state unchanged."""
        return state
