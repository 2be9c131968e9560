"""The backends, one a file; `iclviz.backends` says what one is."""
