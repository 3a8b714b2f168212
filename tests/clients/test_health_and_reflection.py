"""What tools ask of any gRPC server: does it serve, and what."""

from __future__ import annotations

import json

import pytest

from tests.clients.jsonclients import Grpcurl, JsonClient, RefusedError
from tests.clients.process import run

HEALTH = "grpc.health.v1.Health/Check"
SERVICES = ("kata.context.v1.ContextService", "kata.context.v1.MessageService", "kata.context.v1.PolicyService")


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_the_server_and_each_service_say_that_they_serve(address: str, service: str) -> None:
    shown = JsonClient(Grpcurl(address)).text(HEALTH, json.dumps({"service": service}))
    assert json.loads(shown) == {"status": "SERVING"}


def test_the_health_of_an_unknown_service_is_not_found(address: str) -> None:
    with pytest.raises(RefusedError) as caught:
        JsonClient(Grpcurl(address)).text(HEALTH, '{"service": "kata.context.v1.NoService"}')
    assert caught.value.code == "NotFound"


def test_reflection_lists_exactly_what_is_served(address: str) -> None:
    listed = run(Grpcurl(address).program, "-plaintext", address, "list").output.splitlines()
    assert listed == ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", *SERVICES]


@pytest.mark.parametrize("service", SERVICES)
def test_reflection_and_the_descriptor_set_list_the_same_methods(address: str, service: str) -> None:
    grpcurl = Grpcurl(address).program
    served = run(grpcurl, "-plaintext", address, "list", service).output
    committed = run(grpcurl, "-protoset", "generated/kata.binpb", "list", service).output
    assert served == committed != ""
