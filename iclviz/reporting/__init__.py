"""What is written out for people: figures as files, recipes, bundles, snippets, methods, references, sentences."""
