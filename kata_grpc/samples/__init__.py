"""Sample conversations in both formats, every kind of content among them; read as package data by the demo and tests."""
