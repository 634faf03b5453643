"""``python -m evaljobs``."""

from evaljobs.cli import main

if __name__ == "__main__":
    main()
