"""Stubs of package kata.context.v1, and the retry policies that fit it."""

from importlib.resources import files


def service_config(*, with_request_ids: bool = False) -> str:
    """Return the gRPC service config, for the channel option "grpc.service_config".

    It retries reads that end with UNAVAILABLE. With `with_request_ids` it retries writes too, which is safe only for
    a caller that sets `request_id` on every write.
    """
    name = "service_config_with_request_ids.json" if with_request_ids else "service_config.json"
    return (files(__name__) / name).read_text(encoding="utf-8")
