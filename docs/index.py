"""Write docs/methods/README.md from the registry: python docs/index.py."""

from pathlib import Path

import learn2mix.bench.methods
import learn2mix.losses
import learn2mix.policies  # noqa: F401  (importing a family registers its members)
from learn2mix import registry

FAMILIES = {
    "policy": "Policies: how the proportions move",
    "loss": "Losses: what an error costs",
    "method": "Methods of the bench: whole ways to train",
}
PATH = Path(__file__).parent / "methods" / "README.md"


def index() -> str:
    """Give the page: a table a family, a line a member, each linked to its card."""
    parts = ["# Methods\n\nWritten by `python docs/index.py` from the registry; do not edit.\n"]
    for family, title in FAMILIES.items():
        rows = [f"| [{e.name}]({e.name}.md) | {e.summary} | {e.reference} |" for e in registry.entries(family)]
        parts.append(
            "\n".join([f"## {title}\n", "| name | what it is | reference |", "| --- | --- | --- |", *rows]) + "\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PATH.write_text(index())
