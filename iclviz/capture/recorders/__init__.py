"""The recorders, one a file; `iclviz.recorders` says what one is.

None imports torch before it is at work, so that the store and the pages can read what it leaves.
"""
