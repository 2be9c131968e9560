"""The kinds of maps, one a file; `iclviz.mapping` says what one is."""
