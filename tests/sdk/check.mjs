// Asks both endpoints in every way that OpenAI's JavaScript library offers and prints what came of it, as JSON.

import assert from "node:assert";

const { default: OpenAI } = await import(process.env.SDK);
const client = new OpenAI({ maxRetries: 0, timeout: 20_000 });
const city = { type: "string" };
const schema = { type: "object", properties: { city, degrees: { type: "integer" } }, required: ["city", "degrees"], additionalProperties: false };
const parameters = { type: "object", properties: { city }, required: ["city"], additionalProperties: false };

const responseFacts = (response) => [response.output_text, response.status, [response.usage.input_tokens, response.usage.output_tokens]];

async function responses() {
  const tools = [{ type: "function", name: "weather", parameters, strict: true }];
  const seen = { text: responseFacts(await client.responses.create({ model: "m-text", input: "hi" })) };
  const stream = client.responses.stream({ model: "m-text", input: "hi" });
  let deltas = "";
  stream.on("response.output_text.delta", (event) => (deltas += event.delta));
  const final = await stream.finalResponse();
  assert.equal(deltas, "Hello");
  seen["streamed text"] = responseFacts(final);
  const [call] = (await client.responses.stream({ model: "m-tool", input: "hi", tools }).finalResponse()).output;
  seen["streamed tool"] = [call.name, call.arguments, call.call_id];
  const format = { type: "json_schema", name: "weather", schema, strict: true };
  const parsed = await client.responses.parse({ model: "m-json", input: "hi", text: { format } });
  seen.parsed = parsed.output_parsed ?? JSON.parse(parsed.output_text);
  for await (const event of await client.responses.create({ model: "m-fail", input: "hi", stream: true })) {
    if (event.type === "response.failed") seen["failed stream"] = event.response.error.message;
  }
  return seen;
}

const chatFacts = (completion) => [
  completion.choices[0].message.content,
  completion.choices[0].finish_reason,
  [completion.usage.prompt_tokens, completion.usage.completion_tokens],
];

async function chat() {
  const tools = [{ type: "function", function: { name: "weather", parameters, strict: true } }];
  const messages = [{ role: "user", content: "hi" }];
  const seen = { text: chatFacts(await client.chat.completions.create({ model: "m-text", messages })) };
  const stream = client.chat.completions.stream({ model: "m-text", messages, stream_options: { include_usage: true } });
  let deltas = "";
  stream.on("content", (delta) => (deltas += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(deltas, "Hello");
  seen["streamed text"] = chatFacts(final);
  const called = await client.chat.completions.stream({ model: "m-tool", messages, tools }).finalChatCompletion();
  const [call] = called.choices[0].message.tool_calls;
  seen["streamed tool"] = [call.function.name, call.function.arguments, call.id];
  const response_format = { type: "json_schema", json_schema: { name: "weather", schema, strict: true } };
  const parsed = await client.chat.completions.parse({ model: "m-json", messages, response_format });
  seen.parsed = parsed.choices[0].message.parsed ?? JSON.parse(parsed.choices[0].message.content);
  try {
    for await (const _ of await client.chat.completions.create({ model: "m-fail", messages, stream: true }));
    seen["failed stream"] = "nothing was raised";
  } catch (error) {
    seen["failed stream"] = error.message;
  }
  return seen;
}

console.log(JSON.stringify({ responses: await responses(), chat: await chat() }));
