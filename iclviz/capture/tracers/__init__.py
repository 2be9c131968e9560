"""What can be followed through a model, one kind a file; `iclviz.mapping.Tracer` says what one is."""
