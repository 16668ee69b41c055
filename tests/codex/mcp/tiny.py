"""A tool server with one tool, which says backwards what it is told. Speaks MCP over standard input and output."""

import json, sys
TOOL = {"name": "echo", "description": "Says it back.", "annotations": {"readOnlyHint": True},
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}
for line in sys.stdin:
    ask = json.loads(line)
    if "id" not in ask:
        continue
    method, params = ask["method"], ask.get("params") or {}
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "tiny", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [TOOL]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": params["arguments"]["text"][::-1]}]}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}), flush=True)
