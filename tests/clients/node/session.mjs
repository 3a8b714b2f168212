// One session of a Node application: node session.mjs ADDRESS LARGE_CONTEXT_ID LOCKED_CONTEXT_ID
// Prints what it saw as one JSON document, in which a bigint is written as "123n".
import { promisify } from "node:util";
import * as grpc from "@grpc/grpc-js";
import {
  ContextServiceClient,
  CreateContextRequest,
  AppendMessagesRequest,
  GetContextRequest,
  ListMessagesRequest,
  MessageServiceClient,
  Role,
  StreamWindowRequest,
  serviceConfigWithRequestIds,
} from "@kata-grpc/stubs";
import { details } from "./errors.mjs";

const [address, largeId, lockedId] = process.argv.slice(2);
const options = { "grpc.service_config": serviceConfigWithRequestIds };
const credentials = grpc.credentials.createInsecure();
const contexts = new ContextServiceClient(address, credentials, options);
const messages = new MessageServiceClient(address, credentials, options);

/** Calls a unary method and returns a promise of its answer. */
function call(client, method, request, callOptions = {}) {
  return promisify(client[method]).call(client, request, new grpc.Metadata(), callOptions);
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return { code: grpc.status[error.code], message: error.details, details: details(error) };
  }
  throw new Error("the call was not refused");
}

async function frames(request) {
  const seen = [];
  for await (const { frame } of messages.streamWindow(StreamWindowRequest.fromPartial(request))) seen.push(frame);
  return seen;
}

async function create(name) {
  const request = CreateContextRequest.fromPartial({ name, labels: { client: "node" }, requestId: `create ${name}` });
  const { context } = await call(contexts, "createContext", request);
  return context.contextId;
}

function append(contextId, batch, more = {}, callOptions = {}) {
  const request = AppendMessagesRequest.fromPartial({ contextId, messages: batch, ...more });
  return call(messages, "appendMessages", request, callOptions);
}

const user = (text) => ({ role: Role.ROLE_USER, text });
const saw = {};

const contextId = await create("conversation");
const toolCall = { id: "call_1", name: "weather", arguments: '{"city":  "Zürich", "n": 1.0}' };
const conversation = [
  user("Rain?"),
  { role: Role.ROLE_ASSISTANT, parts: [{ kind: { $case: "toolCall", value: toolCall } }] },
  {
    role: Role.ROLE_TOOL,
    parts: [{ kind: { $case: "toolResult", value: { toolCallId: "call_1", text: "\u0000 dry" } } }],
  },
];
const exactlyOnce = { requestId: "append-1", expectedVersion: 0n };
saw.appended = await append(contextId, conversation, exactlyOnce);
saw.repeated = await append(contextId, conversation, exactlyOnce);
saw.listed = (await call(messages, "listMessages", ListMessagesRequest.fromPartial({ contextId }))).messages;

const longId = await create("long");
await append(longId, Array.from({ length: 600 }, (_, n) => user(`${n + 1}`)));
const window = { contextId: longId, tokenBudget: 100_000n };
const whole = await frames(window);
const rest = await frames({ ...window, resumeToken: whole[1].value.resumeToken });
saw.window = {
  frames: whole.map((frame) => frame.$case),
  versions: whole.flatMap((frame) => (frame.$case === "chunk" ? frame.value.messages : [])).map((one) => one.version),
  resumed: rest.map((frame) => frame.$case),
  first_resumed: rest[1].value.messages[0].version,
  header: whole[0].value,
};

saw.large = (await call(contexts, "getContext", GetContextRequest.fromPartial({ contextId: largeId }))).context;
saw.conflict = await refusal(append(contextId, [user("x")], { expectedVersion: 9_007_199_254_740_993n }));
saw.invalid = await refusal(append("x", [{ role: Role.ROLE_USER }]));
saw.late = await refusal(append(lockedId, [user("x")], {}, { deadline: Date.now() + 1_000 }));

contexts.close();
messages.close();
console.log(JSON.stringify(saw, (_, value) => (typeof value === "bigint" ? `${value}n` : value)));
