"""The kinds of interventions, one a file; `iclviz.intervening` says what one is."""
