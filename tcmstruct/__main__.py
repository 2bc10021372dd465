"""`python -m tcmstruct`."""

from tcmstruct.cli import main

if __name__ == "__main__":
    main()
