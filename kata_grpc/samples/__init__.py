"""Sample conversations in both formats, every kind of content among them, for the demo and the tests."""
