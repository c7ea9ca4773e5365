"""Where examples come from and what becomes of them before a network sees them."""

from learn2mix.bench.data.examples import Data, Examples, Progress, fingerprint, quiet

__all__ = ["Data", "Examples", "Progress", "fingerprint", "quiet"]
