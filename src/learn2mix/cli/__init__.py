"""The command line: `learn2mix`, or `python -m learn2mix`."""

from __future__ import annotations

import os
import sys

# What wrong input, missing data or a diverged run raise: a line says it all. Anything else is a bug, and shows itself.
_EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 used wrongly."""
    # Threads that spin while they wait make times hang on what else the machine does; torch reads this when it loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import typer

        from learn2mix.cli.commands import app, command_in
        from learn2mix.cli.terminal import fail
    except ImportError as error:
        raise SystemExit(f"learn2mix: the command line needs {error.name}: pip install 'learn2mix[bench]'") from None
    arguments = sys.argv[1:] or ["--help"]
    try:
        sys.exit(app(arguments, standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        fail("interrupted; what was done so far is kept, and the same command goes on from there")
    except Exception as error:
        if hasattr(error, "format_message"):  # wrong usage; typer keeps the class to itself
            fail(f"{error.format_message()}; see learn2mix {command_in(arguments)}--help", 2)
        if os.environ.get("LEARN2MIX_TRACEBACK") or not isinstance(error, _EXPECTED):
            raise
        fail(str(error) or type(error).__name__)
