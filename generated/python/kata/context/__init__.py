"""Python stubs of the Kata gRPC API, generated from its protos."""
