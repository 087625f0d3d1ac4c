"""`python -m cspine` is the `cspine` command."""

from cspine.cli.main import main

if __name__ == "__main__":
    main()
