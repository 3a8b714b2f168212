"""What docs/policy.md shows works when pasted, on a conversation that has something to compact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import grpc
from kata.context.v1 import policy_service_pb2 as ps
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from tests.cli.test_compacting import talk
from tests.clients.process import ROOT, run, tool

if TYPE_CHECKING:
    from tests.clients.process import ServerProcess

TEXT = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")


def test_the_sessions_of_the_policies_run(own_server: ServerProcess) -> None:
    tool("grpcurl")
    commands, calls = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    with grpc.insecure_channel(own_server.address) as channel:
        context_id = talk(ContextServiceStub(channel), MessageServiceStub(channel))
        policies = PolicyServiceStub(channel)
        settings = {"CONTEXT_ID": context_id, "KATA_LISTEN": own_server.address, "ADDRESS": own_server.address}
        done = run("bash", "-euo", "pipefail", "-c", commands, **settings)
        assert (done.status, done.errors) == (0, "")
        assert re.search(r"^preserve_recent +context +20$", done.output, re.MULTILINE)
        assert re.search(r"^keep_results +context +8$", done.output, re.MULTILINE)
        assert '"budgetTokens": "200000"' in done.output
        assert "Groups that stay: " in done.output
        assert "Nothing to compact: the view costs no more than the target." in done.output
        assert re.search(r"^path +.* src/kata/window\.py$", done.output, re.MULTILINE)

        done = run("bash", "-euo", "pipefail", "-c", calls, **settings)
        assert (done.status, done.errors) == (0, "")
        assert '"nothing": "NOTHING_TO_COMPACT_BELOW_TARGET"' in done.output
        found = policies.GetPolicy(ps.GetPolicyRequest(context_id=context_id))
    assert (found.policy.compaction.preset, found.effective.budget_tokens) == ("chat", 32_000)
    assert (found.effective.trigger_messages, found.effective.cooldown.seconds) == (400, 300)
    assert found.effective.threshold == 0.75, "the tenant's word, where the preset has none"


def test_every_file_it_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]*)(?:#[^)]*)?\)", TEXT)
    assert links
    assert [link for link in links if link and not (ROOT / "docs" / link).exists()] == []
