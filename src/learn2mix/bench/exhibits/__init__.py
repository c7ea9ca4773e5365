"""The paper's tables and figures, and studies of what it leaves open: each a list of runs and a way to show them."""

from learn2mix.bench.exhibits.base import Exhibit, Panel, Shown
from learn2mix.bench.exhibits.paper import PAPER
from learn2mix.bench.exhibits.studies import STUDIES

__all__ = ["PAPER", "STUDIES", "Exhibit", "Panel", "Shown"]
