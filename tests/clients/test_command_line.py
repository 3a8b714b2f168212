"""A person with grpcurl or buf curl, with and without the committed descriptor set, can do all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from google.rpc import error_details_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms

from tests.clients.jsonclients import PROTOSET, BufCurl, Grpcurl, JsonClient, RefusedError, Tool

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXTS = "kata.context.v1.ContextService"
MESSAGES = "kata.context.v1.MessageService"

WAYS: dict[str, Callable[[str], Tool]] = {
    "grpcurl, reflection": Grpcurl,
    "grpcurl, protoset": lambda address: Grpcurl(address, ("-protoset", PROTOSET)),
    "buf curl, reflection": BufCurl,
    "buf curl, descriptor set": lambda address: BufCurl(address, ("--schema", PROTOSET)),
}


@pytest.fixture(scope="module", params=WAYS)
def client(request: pytest.FixtureRequest, address: str) -> JsonClient:
    return JsonClient(WAYS[request.param](address))


def _create(client: JsonClient) -> str:
    name = {"name": "typed by hand"}
    return client.call(f"{CONTEXTS}/CreateContext", name, cs.CreateContextResponse).context.context_id


def test_what_a_person_types_is_what_a_person_reads(client: JsonClient) -> None:
    context_id = _create(client)
    typed = f'{{"context_id": "{context_id}", "messages": [{{"role": "ROLE_USER", "text": "hi"}}]}}'

    client.text(f"{MESSAGES}/AppendMessages", typed)

    shown = client.text(f"{MESSAGES}/ListMessages", f'{{"context_id": "{context_id}"}}')
    assert '"role": "ROLE_USER"' in shown
    assert '"text": "hi"' in shown
    assert "parts" not in shown


def test_a_tool_call_and_its_result_reach_the_window(client: JsonClient) -> None:
    context_id = _create(client)
    arguments = '{"city":  "Zürich", "n": 1.0}'
    call = {"id": "call_1", "name": "weather", "arguments": arguments}
    messages = [
        {"role": "ROLE_SYSTEM", "text": "Be brief."},
        {"role": "ROLE_USER", "text": "Rain?"},
        {"role": "ROLE_ASSISTANT", "parts": [{"tool_call": call}]},
        {"role": "ROLE_TOOL", "parts": [{"tool_result": {"tool_call_id": "call_1", "text": "\u0000 dry"}}]},
    ]
    request = {"context_id": context_id, "messages": messages, "request_id": "a-1", "expected_version": 0}

    answers = [client.call(f"{MESSAGES}/AppendMessages", request, ms.AppendMessagesResponse) for _ in range(2)]

    assert [(a.first_version, a.last_version, a.revision, a.replayed) for a in answers] == [
        (1, 4, 1, False),
        (1, 4, 1, True),
    ]
    listing = {"context_id": context_id, "order": "LIST_ORDER_DESCENDING", "roles": ["ROLE_TOOL", "ROLE_ASSISTANT"]}
    listed = client.call(f"{MESSAGES}/ListMessages", listing, ms.ListMessagesResponse).messages
    assert [message.version for message in listed] == [4, 3]
    window = {"context_id": context_id, "token_budget": 1000}
    header, chunk, trailer = client.stream(f"{MESSAGES}/StreamWindow", window, ms.StreamWindowResponse)
    assert header.header.message_count == 4
    assert header.header.snapshot_version == 4
    sent = chunk.chunk.messages
    assert [message.role for message in sent] == [pb.ROLE_SYSTEM, pb.ROLE_USER, pb.ROLE_ASSISTANT, pb.ROLE_TOOL]
    assert sent[2].parts[0].tool_call.arguments == arguments
    assert sent[3].parts[0].tool_result.text == "\u0000 dry"
    assert trailer.HasField("trailer")


def test_a_stream_goes_on_after_the_chunk_that_arrived(client: JsonClient) -> None:
    context_id = _create(client)
    messages = [{"role": "ROLE_USER", "text": f"{number}"} for number in range(1, 601)]
    request = {"context_id": context_id, "messages": messages}
    client.call(f"{MESSAGES}/AppendMessages", request, ms.AppendMessagesResponse)
    window = {"context_id": context_id, "token_budget": 100_000}

    whole = client.stream(f"{MESSAGES}/StreamWindow", window, ms.StreamWindowResponse)

    assert [frame.WhichOneof("frame") for frame in whole] == ["header", "chunk", "chunk", "trailer"]
    window["resume_token"] = whole[1].chunk.resume_token
    rest = client.stream(f"{MESSAGES}/StreamWindow", window, ms.StreamWindowResponse)
    assert rest == [whole[0], *whole[2:]]


def test_every_violation_is_shown(client: JsonClient) -> None:
    with pytest.raises(RefusedError) as caught:
        client.text(f"{MESSAGES}/AppendMessages", '{"context_id": "x", "messages": [{"role": "ROLE_USER"}]}')

    refused = caught.value
    assert refused.code.lower().replace("_", "") == "invalidargument"
    assert (refused.info.reason, refused.info.domain) == ("INVALID_FIELD", "kata.context.v1")
    assert refused.violations == [("context_id", "MALFORMED_ID"), ("messages[0]", "REQUIRED")]
    assert "context_id: is not a UUID" in refused.shown
    assert "messages[0]: has neither text nor parts" in refused.shown


def test_a_missing_context_is_named(client: JsonClient) -> None:
    context_id = str(uuid4())
    with pytest.raises(RefusedError) as caught:
        client.text(f"{CONTEXTS}/GetContext", f'{{"context_id": "{context_id}"}}')

    refused = caught.value
    assert refused.code.lower().replace("_", "") == "notfound"
    assert refused.info.reason == "CONTEXT_NOT_FOUND"
    assert refused.info.metadata == {"context_id": context_id}
    assert isinstance(refused.details[1], error_details_pb2.ResourceInfo)
    assert context_id in refused.shown


def test_grpcurl_shows_the_reason_in_words(address: str) -> None:
    with pytest.raises(RefusedError) as caught:
        JsonClient(Grpcurl(address)).text(f"{CONTEXTS}/GetContext", f'{{"context_id": "{uuid4()}"}}')

    assert '"reason":"CONTEXT_NOT_FOUND"' in caught.value.shown
