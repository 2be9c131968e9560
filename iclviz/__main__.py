"""`python -m iclviz` is the command line."""

from iclviz.cli import main

main()
