"""`python -m iclviz` is the command line."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C during its imports ends with what it would say itself."""
    try:
        from iclviz.cli import main as command_line
    except KeyboardInterrupt:
        print("Stopped. What is finished is kept; the same command goes on from there.", file=sys.stderr)
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
