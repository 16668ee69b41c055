"""Asks both endpoints in every way that OpenAI's Python library offers and prints what came of it, as JSON."""

import json

from openai import APIError, OpenAI
from pydantic import BaseModel

client = OpenAI(max_retries=0, timeout=20)
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}


class Weather(BaseModel):
    city: str
    degrees: int


def response_facts(response):
    return [response.output_text, response.status, [response.usage.input_tokens, response.usage.output_tokens]]


def responses():
    tool = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}
    seen = {"text": response_facts(client.responses.create(model="m-text", input="hi"))}
    with client.responses.stream(model="m-text", input="hi") as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert deltas == final.output_text, (deltas, final)
    seen["streamed text"] = response_facts(final)
    with client.responses.stream(model="m-tool", input="hi", tools=[tool]) as stream:
        final = stream.get_final_response()
    call = final.output[0]
    seen["streamed tool"] = [call.name, call.arguments, call.call_id]
    parsed = client.responses.parse(model="m-json", input="hi", text_format=Weather)
    seen["parsed"] = parsed.output_parsed.model_dump()
    failed = [event for event in client.responses.create(model="m-fail", input="hi", stream=True) if event.type == "response.failed"]
    seen["failed stream"] = failed[0].response.error.message
    return seen


def chat_facts(completion):
    choice = completion.choices[0]
    return [choice.message.content, choice.finish_reason, [completion.usage.prompt_tokens, completion.usage.completion_tokens]]


def chat():
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}}
    messages = [{"role": "user", "content": "hi"}]
    seen = {"text": chat_facts(client.chat.completions.create(model="m-text", messages=messages))}
    with client.chat.completions.stream(model="m-text", messages=messages, stream_options={"include_usage": True}) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert deltas == final.choices[0].message.content, (deltas, final)
    seen["streamed text"] = chat_facts(final)
    with client.chat.completions.stream(model="m-tool", messages=messages, tools=[tool]) as stream:
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    seen["streamed tool"] = [call.function.name, call.function.arguments, call.id]
    parsed = client.chat.completions.parse(model="m-json", messages=messages, response_format=Weather)
    seen["parsed"] = parsed.choices[0].message.parsed.model_dump()
    try:
        for _ in client.chat.completions.create(model="m-fail", messages=messages, stream=True):
            pass
        seen["failed stream"] = "nothing was raised"
    except APIError as error:
        seen["failed stream"] = error.message
    return seen


print(json.dumps({"responses": responses(), "chat": chat()}))
