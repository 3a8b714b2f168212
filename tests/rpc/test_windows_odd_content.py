"""Windows of content that no provider takes as it is: what is rendered costs no more than the window says."""

from __future__ import annotations

import pytest
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import window_pb2

from kata_grpc.dialects import check
from kata_grpc.domain.windows import Dialect
from kata_grpc.tokenizers import Tokenizers
from tests.rpc import build as b
from tests.rpc.serving import Running, loop
from tests.unit.pictures import png
from tests.unit.recount import recount

pytestmark = loop

ODD = "🜁𓀀" * 200


def odd() -> list[pb.Message]:
    image = pb.Part(image=pb.ImagePart(data=png(640, 480), media_type="image/png"))
    file = pb.Part(file=pb.FilePart(file_id=ODD, filename=ODD))
    shown = pb.Part(tool_result=pb.ToolResultPart(tool_call_id="1", parts=[b.text_part("Here:"), image, file]))
    failed = pb.Part(tool_result=pb.ToolResultPart(tool_call_id="2", text=" ", is_error=True))
    made = [b.call_part("1", "mcp:shots/take", "\x01\x02 not json \x03"), b.call_part("2", "n" * 130, '{"a":1,"a":2}')]
    return [
        b.system("Be brief."),
        b.user(" ", name="Ann Lee"),
        pb.Message(role=pb.ROLE_ASSISTANT, parts=[b.text_part("First."), b.text_part("Then."), *made]),
        pb.Message(role=pb.ROLE_TOOL, parts=[shown]),
        pb.Message(role=pb.ROLE_USER, parts=[failed, file]),
        pb.Message(role=pb.ROLE_DEVELOPER, parts=[b.text_part("Be kind."), b.text_part("Be quick."), image]),
        b.user(""),
    ]


@pytest.mark.holds("I5")
@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("tokenizer", ["o200k_base", "cl100k_base"])
async def test_odd_content_is_never_over_budget(server: Running, dialect: Dialect, tokenizer: str) -> None:
    count = Tokenizers().counter(tokenizer)
    context_id = (await server.create()).context_id
    await server.append(context_id, *odd())
    asked = {
        "dialect": window_pb2.Dialect.Value(f"DIALECT_{dialect.name}"),
        "tokenizer": tokenizer,
        "render": True,
    }
    whole = await server.window(context_id, 1_000_000, **asked)
    assert len(whole.messages) == len(odd())
    for budget in (whole.header.window_tokens, whole.header.window_tokens - 1):
        window = await server.window(context_id, budget, **asked)
        assert check(dialect, window.rendered_json) == []
        assert recount(dialect, window.rendered_json, count) <= window.header.window_tokens <= budget
