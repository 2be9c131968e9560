"""Models: names to files, files to tokenizers, configurations and loaded models; only `loading` imports torch."""
