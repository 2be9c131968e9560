"""Analyses of recordings as questions: data that can be asked of another process, whose answers are kept on disk."""
