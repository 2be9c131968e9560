"""The backends, one a file; `iclviz.capture.backend` says what one is."""
