"""Acceptance of summaries: what is none is found by its form, and what tells of errors and refusals stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kata_grpc.compaction import Numbered, summarise
from kata_grpc.domain.messages import Message, Role
from kata_grpc.summarisers import Rejection, check, most_tokens

TRUE = [
    "Summary of messages 1 to 7, by rule.\n## Current state\nGoal [v1] user: «Fix the test.»",
    "The user asked for a fix of KeyError: 'name' in a.py. The tests fail with exit code 1; nothing is decided yet.",
    "Error handling was added to the client: 429 Too Many Requests is now retried. Open: what about 502 Bad Gateway?",
    "Errors so far: 429 (twice), 500 (once). The agent goes on with the third endpoint.",
    "Error 429 was answered twice [v12], so the agent waits a minute before each call.",
    "RateLimitError: Error code: 429 came back from the provider [v14]; the job was started again with a delay.",
    "Traceback of the failing test is in [v12]; the cause is a missing import.",
    "Goal: find out why the page is '<!DOCTYPE html><html>502 Bad Gateway</html>' [v3].",
    "The assistant said «I'm sorry, I can't help with that» [v4]; the user asked in other words.",
    "User apologised for the sorry state of the docs. Assistant cannot access the repository without a token.",
    "I cannot reproduce the bug on main. Next: bisect between v1.2 and v1.3.",
    "I will not touch the migrations; the user wants only the docs changed. Decided: one page per command.",
    "I'm going to rename parse() to read(). Done: tests. Open: docs.",
    "I refused the first offer of the airline; booking XA12BC was then cancelled for 120 EUR.",
    "Unfortunately the flight is full. The user takes the one on Tuesday, HAT115, and pays with the gift card.",
    "Please note: the user wants all answers in French. Goal: plan a trip to Lyon.",
    "Connection pooling was chosen over one connection per call. Pool size: 3.",
    "Forbidden words were removed from the list; 404 pages remain.",
    "Not found so far: the cause. Tried: restarting, clearing the cache, an older version.",
    "Timeouts: raised to 30 s [v8]. Timeout error of [v6] is settled.",
    '{"goal": "fix the parser", "errors": ["KeyError in parse.py"], "decisions": [], "status": "in progress"}',
    '{"summary": "All is done", "error": null}',
    '{"message": "The user asked for a fix and got it"}',
    '["Goal: fix the parser", "Open: the docs"]',
    '```json\n{"goal": "x", "error": "KeyError"}\n```',
    "The request was blocked by the firewall; port 443 has to be opened.",
    "This response format is JSON; content policy of the company is in docs/policy.md. Next: filter the list.",
    "It looks like the build is broken since commit 0a1b2c3; the user asked to find out why.",
    "There is no test for the parser. The user asked for one.",
    "用户要求修复测试 tests/test_a.py；抱歉的邮件已发送。",
    "Der Nutzer will den Test reparieren; die Antwort 500 kam zweimal.",
    "ok: 7 tests",
    "Unfortunately I could not finish the migration; the table is locked.",
    "I apologised for the delay; I could not find the booking.",
    "I will not write to the old table any more. Decided: archive it.",
    "I cannot write to /etc/hosts: permission denied. Open: ask the user for the password.",
    "I cannot complete the booking without a card. The user looks for it.",
    "I can't answer yet whether the cache is the cause: the trace is missing.",
    "I don't see messages in the queue since Tuesday; the worker idles.",
    "There are no messages left in the queue. Next: restart the worker.",
    "It seems the conversation was about missing parcels; the user provided two labels.",
    "The request was blocked by the policy of the firewall; port 443 has to be opened.",
    "Connection refused by the database since Tuesday. Goal: find out why. Tried: a restart.",
    "ConnectionError: fixed in client.py by a retry. Goal: release 1.2 today.",
    "Error 429: the agent waits a minute before each call. Open: whether a second key helps.",
    "Rate limit exceeded twice, so calls are spread over a minute. Goal: import all 900 orders.",
    "The server is overloaded at noon. Decided: run the import at night.",
    "I won't make changes to your request handler; only tests.",
    "I cannot share the file before the user answers. Open: which folder?",
    "I can't continue with the deployment until the user confirms [Y/n].",
    "Error: the build fails with exit code 2 in step 3. Goal: find out why.",
    "Internal Server Error appears when posting an order without a name; the handler lacks a check.",
    "Failed to fetch the feed twice; the third attempt worked. 900 items imported.",
    "Please send the contract, the user said; text is agreed, summary pending.",
    "As an AI assistant of the shop, I changed the address and sent the label again.",
    '{"title": "Fix of the parser", "status": "in progress"}',
    '{"message": "The user asked for a fix of KeyError", "status": "done"}',
    '{"errors": ["KeyError in parse.py"], "status": "open"}',
    '{"detail": "The user asked for a fix", "code": "ABC-12"}',
]
FALSE = {
    Rejection.EMPTY: [
        "", " ", "\n\t\r\n", "\u200b\ufeff", "...", "***", "```\n```", '""', "null", "None", "undefined", "N/A", "。",
    ],
    Rejection.REFUSED: [
        "I'm sorry, I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I am sorry, but I cannot comply.",
        "I'm really sorry, but I am unable to do this.",
        "Sorry, I can't summarize this conversation.",
        "Sorry, but I can't help with this.",
        "I apologize, but I cannot provide a summary of this content.",
        "I apologise. I am not able to continue with this.",
        "My apologies, but I won't be able to help.",
        "I can't help with that.",
        "I cannot assist with that request. Please contact the author.",
        "I'm unable to help with that.",
        "I am not able to provide a summary of this material.",
        "I won't summarize this conversation because it contains personal data.",
        "I must decline to summarise this.",
        "I don't feel comfortable summarizing this content.",
        "Unfortunately, I can't process this request.",
        "As an AI language model, I cannot provide that.",
        "**I'm sorry, but I can't help with that.**",
        '"I\'m sorry, I can\'t help with that."',
        "I don't see any conversation to summarize. Please share the messages.",
        "Please provide the conversation that you would like me to summarize.",
        "It looks like the conversation is empty. Could you share it?",
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "Your request was rejected as a result of our safety system.",
        "I'm going to have to decline this request.",
        "I need to decline summarizing this conversation as it contains a crime.",
        "I'm sorry, but this content violates our policies, so I can't summarize it.",
        "I can't continue with this.",
        "I cannot create a summary of explicit material.",
        "I can\u2019t provide that.",
        "This content may violate our usage policies.",
        "Ich kann dabei leider nicht helfen.",
        "Es tut mir leid, aber ich kann dabei nicht helfen.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "抱歉，我无法协助完成该请求。",
        "申し訳ありませんが、そのリクエストにはお応えできません。",
    ],
    Rejection.ERROR_TEXT: [
        "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body>" + "nginx " * 500 + "</body></html>",
        "<html>\r\n<head><title>504 Gateway Time-out</title></head></html>",
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code></Error>',
        '{"error": {"message": "Rate limit reached", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}}',
        '{"error": "model not found"}',
        '{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}',
        '[{"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}]',
        '{"detail": "Not Found"}',
        '{"code": "rate_limit_exceeded", "message": "Slow down"}',
        '{"statusCode": 503, "message": "Service Unavailable"}',
        '{"errors": [{"code": 10000, "message": "Authentication error"}], "success": false, "messages": []}',
        '{"object": "error", "message": "too long", "type": "BadRequestError", "param": null, "code": 400}',
        '{"timestamp": "2026-11-25", "status": 500, "error": "Internal Server Error", "path": "/v1"}',
        'data: {"error": {"message": "The server had an error"}}',
        '```json\n{"error": {"message": "bad"}}\n```',
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'x'",
        "Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o'}}",
        "Error code: 500",
        "502",
        "ERROR",
        "[ERROR] timeout",
        "<Response [500]>",
        "{'error': {'message': 'x', 'code': 429}}",
        "Error: Request failed with status code 429",
        "AxiosError: Request failed with status code 500",
        "error: model 'some' not found, try pulling it first",
        "stream error: stream ID 1; INTERNAL_ERROR",
        "429 Client Error: Too Many Requests for url: https://api.example",
        "504 Gateway Time-out\nThe server didn't respond in time.",
        "Internal server error: connection to model lost",
        "Sorry, something went wrong. Please try again.",
        "data: [DONE]",
        "Error: 503",
        "API Error: 529 - overloaded",
        'API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"It has expired."}}',
        "openai.RateLimitError: Error code: 429 - {'error': {'message': 'You exceeded your current quota'}}",
        "APIConnectionError: Connection error.",
        "ReadTimeout: The read operation timed out",
        "429 Too Many Requests",
        "Internal Server Error",
        "Service Unavailable.",
        "HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\n\r\n",
        "HTTP 503: Service Unavailable",
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        "no healthy upstream",
        "Request timed out.",
        "Connection error.",
        "The model is currently overloaded. Please try again later.",
        "Error: 529 - {'type': 'error'}",
        "litellm.APIConnectionError: OpenAIException - peer closed connection.\nRetrying in 0.2 seconds",
        "httpx.ConnectError: All connection attempts failed. See the log. Nothing else.",
        "Rate limit exceeded, please try again later.",
        "You exceeded your current quota, please check your plan and billing details.",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "An error occurred while processing your request.",
        "Error: connect ECONNREFUSED 127.0.0.1:11434\n    at TCPConnectWrap.afterConnect (node:net:1555:16)",
        "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()",
    ],
}  # fmt: skip
BROKEN = [(why, text) for why, texts in FALSE.items() for text in texts]


def judged(text: str, *, tokens: int = 10, input_tokens: int = 1_000, target: int = 100) -> tuple[Rejection, ...]:
    return check(text, tokens=tokens, input_tokens=input_tokens, target_tokens=target)


@pytest.mark.parametrize("text", TRUE)
def test_a_true_summary_stands(text: str) -> None:
    assert judged(text) == ()


@pytest.mark.parametrize(("why", "text"), BROKEN)
def test_what_is_no_summary_is_rejected(why: Rejection, text: str) -> None:
    assert judged(text) == (why,)
    assert judged(f"\n {text}\n\n") == (why,)


@pytest.mark.parametrize(("why", "text"), BROKEN)
def test_an_artifact_section_does_not_make_it_one(why: Rejection, text: str) -> None:
    if why is not Rejection.EMPTY:
        assert judged(f"{text}\n## Artifacts\n" + "[v7] b.py d.py\n[v8-v9] src/a.py\n" * 100) == (why,)


def test_a_summary_of_cited_lines_is_not_taken_for_a_section() -> None:
    assert judged("[v1] The user asked for a fix.\n[v2] It is in a.py.") == ()


@pytest.mark.parametrize("text", ["a\0b", "a \ud800", "fine until \udfff"])
def test_what_cannot_be_stored_is_rejected(text: str) -> None:
    assert judged(text) == (Rejection.INVALID,)


def test_a_summary_is_shorter_than_its_input_and_not_far_over_its_target() -> None:
    assert judged("Goal: x", tokens=999, input_tokens=1_000, target=1_000) == ()
    assert judged("Goal: x", tokens=1_000, input_tokens=1_000, target=1_000) == (Rejection.NOT_SHORTER,)
    assert judged("Goal: x", tokens=most_tokens(2_000), input_tokens=9_000, target=2_000) == ()
    assert judged("Goal: x", tokens=most_tokens(2_000) + 1, input_tokens=9_000, target=2_000) == (Rejection.TOO_LONG,)
    assert (most_tokens(100), most_tokens(1_000), most_tokens(8_000)) == (164, 1_250, 10_000)


def test_everything_that_is_wrong_is_said_the_gravest_first() -> None:
    wrong = check('{"error": "a\\u0000b"}\0', tokens=900, input_tokens=800, target_tokens=100)
    assert wrong == (Rejection.INVALID, Rejection.NOT_SHORTER, Rejection.TOO_LONG)
    assert judged(" \0", tokens=900) == (Rejection.INVALID, Rejection.EMPTY, Rejection.TOO_LONG)


STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(STORABLE, st.sampled_from(BROKEN), STORABLE)
def test_what_a_summary_quotes_does_not_speak_against_it(before: str, broken: tuple[str, str], after: str) -> None:
    assert judged(f"Goal of the user: {before}\nSeen: {broken[1]}\n{after}") == ()


@given(st.sampled_from([text for text in TRUE if not text.startswith(("{", "[", "```"))]), STORABLE)
def test_what_follows_a_true_summary_does_not_speak_against_it(text: str, after: str) -> None:
    assert judged(f"{text}\n{after}") == ()


@given(
    st.dictionaries(st.sampled_from(["error", "errors", "status", "message", "code", "type"]), STORABLE),
    st.sampled_from(["summary", "goal", "decisions", "open_questions", "artifacts", "state", "todo", "files"]),
    STORABLE,
)
def test_json_that_says_more_than_errors_do_stands(error: dict[str, str], name: str, text: str) -> None:
    assert judged(json.dumps({**error, name: text})) == ()


@given(st.text(st.characters()))
@example("I'm sorry, " * 100_000)
@example("```\n" * 100_000)
@example("[" * 100_000)
@example("[v1] x\n" * 100_000 + "end")
@example("panic: \n" * 100_000)
def test_any_text_is_judged(text: str) -> None:
    assert set(judged(text)) <= {Rejection.INVALID, Rejection.EMPTY, Rejection.REFUSED, Rejection.ERROR_TEXT}


@given(st.lists(st.sampled_from([text for _, text in BROKEN]), min_size=1, max_size=6))
def test_the_built_in_summary_of_errors_and_refusals_stands(texts: list[str]) -> None:
    messages = [
        Numbered(version, Message(Role.ASSISTANT if version % 2 else Role.USER, text))
        for version, text in enumerate(texts, 1)
    ]
    made = summarise(messages, len, 2_000)
    assert check(made.text, tokens=1, input_tokens=2, target_tokens=2_000) in ((), (Rejection.EMPTY,))
