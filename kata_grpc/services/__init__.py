"""One module a use: what is decided, in which order, and within which transaction."""
