"""`python -m i2pa` is the command `i2pa`."""

from i2pa.cli import main

if __name__ == "__main__":
    main()
