"""`python -m jobs` is the command `horseshoe`."""

from jobs.cli import main

if __name__ == "__main__":
    main()
