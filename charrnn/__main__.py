"""`python -m charrnn` is `charrnn`."""

import signal
import sys


def main() -> None:
    """Run the command line; a Ctrl-C that comes too early or too late for it says nothing."""
    try:
        from charrnn import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # What still computes is waited for: a process that ends before its threads aborts.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
