"""What the parts of the documentation's build share."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def short(commit: str) -> str:
    """Shorten a commit's name; that there were changes besides stays.

    >>> short("0123456789abcdef0123456789abcdef01234567+changes")
    '0123456789+changes'
    """
    return commit[:10] + commit[40:]
