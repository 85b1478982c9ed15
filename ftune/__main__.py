"""`python -m ftune`: the command line where no script is installed."""

from ftune.cli import main

if __name__ == "__main__":
    main()
