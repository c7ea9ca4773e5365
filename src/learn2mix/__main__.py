"""python -m learn2mix: the command line."""

from learn2mix.cli import main

if __name__ == "__main__":
    main()
