"""`python -m iclviz` is the command line."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C during its imports ends as one later does."""
    try:
        from iclviz.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("Stopped before anything began.", file=sys.stderr)
        sys.exit(130)
    finally:
        # An interrupt that came out of an exec(), as in the making of dataclasses, is remembered by Python although it
        # was caught: it would end by the signal instead of its status. The next exec() makes it forget.
        exec("")


if __name__ == "__main__":
    main()
