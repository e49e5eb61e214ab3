"""`python -m charrnn` is `charrnn`."""

import sys


def main() -> None:
    """Run the command line; a Ctrl-C while it is still being loaded ends it without a word."""
    try:
        from charrnn import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
