"""`python -m raycluster`."""

from raycluster.cli import main

if __name__ == "__main__":
    main()
