"""The rules of contexts, messages and windows, in the standard library alone."""
