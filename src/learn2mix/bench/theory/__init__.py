"""The paper's propositions, on groups whose losses are quadratic."""

from learn2mix.bench.theory.propositions import (
    advantage,
    contraction_rate,
    draw,
    final_rate,
    helpful_mixing_rates,
    largest_mixing_rate,
    nearer,
    proportions_bound,
)
from learn2mix.bench.theory.quadratics import Descent, QuadraticGroups, descend

__all__ = [
    "Descent",
    "QuadraticGroups",
    "advantage",
    "contraction_rate",
    "descend",
    "draw",
    "final_rate",
    "helpful_mixing_rates",
    "largest_mixing_rate",
    "nearer",
    "proportions_bound",
]
