"""wire.json: what DSPy sends to a provider's address, and what it keeps of the reply. A local server records it."""
import http.server
import json
import threading

import planted  # noqa: F401 (quiet, no cache)

import dspy

TEXT = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"
KEPT = ("anthropic-version", "x-api-key", "authorization", "api-key", "user-agent", "x-goog-api-key", "anthropic-beta")
ADAPTERS = {None: lambda: None, "json": dspy.JSONAdapter}


def anthropic(text, stop="end_turn"):
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7}
    content = [{"type": "text", "text": text}]
    return 200, {}, {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
                     "stop_reason": stop, "stop_sequence": None, "usage": usage}  # fmt: skip


def anthropic_error(status, kind, message, headers=None):
    return status, headers or {}, {"type": "error", "error": {"type": kind, "message": message}}


def openai(text):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return 200, {}, {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def responses(text):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    output = [{"type": "message", "id": "x", "role": "assistant", "status": "completed", "content": content}]
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 2},
             "output_tokens_details": {"reasoning_tokens": 1}}  # fmt: skip
    return 200, {}, {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": output, "usage": usage,
                     "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0}  # fmt: skip


def gemini(text):
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}
    return 200, {}, {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}}


NOW = {"retry-after": "0"}
SONNET, GPT5, GPT4O = "anthropic/claude-sonnet-4-5", "openai/gpt-5-mini", "openai/gpt-4o-mini"
OVERLOADED = (529, NOW, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"})
TOO_LONG = anthropic_error(400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum")
NO_SCHEMA = (400, {}, {"error": {"message": "Invalid schema for response_format", "type": "invalid_request_error", "param": "response_format", "code": None}})
# name: model, path behind the server's address, replies, what else; kwargs are those of dspy.LM
CASES = {
    "anthropic_plain": (SONNET, "", [anthropic(TEXT)], {}),
    "anthropic_demos_temperature_max_tokens": (SONNET, "", [anthropic(TEXT)], {"demos": 2, "temperature": 0.5, "max_tokens": 333, "top_p": 0.9, "stop": ["X"]}),
    "anthropic_length": (SONNET, "", [anthropic(TEXT, "max_tokens")], {"max_tokens": 5}),
    "anthropic_refusal": (SONNET, "", [anthropic("", "refusal")] * 2, {"max_tokens": 5}),
    "anthropic_529_then_ok": (SONNET, "", [OVERLOADED, anthropic(TEXT)], {"num_retries": 1}),
    "anthropic_429": (SONNET, "", [anthropic_error(429, "rate_limit_error", "slow", NOW)], {}),
    "anthropic_400_prompt_too_long": (SONNET, "", [TOO_LONG], {}),
    "anthropic_401": (SONNET, "", [anthropic_error(401, "authentication_error", "invalid x-api-key")], {}),
    "anthropic_json_adapter": (SONNET, "", [anthropic('{"answer": "yes"}')], {"adapter": "json", "max_tokens": 100}),
    "openai_gpt5_reasoning": (GPT5, "/v1", [openai(TEXT)], {"max_tokens": 20000, "temperature": 1.0, "reasoning_effort": "low"}),
    "openai_gpt5_temperature_0": (GPT5, "/v1", [openai(TEXT)], {"max_tokens": 20000, "temperature": 0.0}),
    "openai_gpt4o_reasoning_effort": (GPT4O, "/v1", [openai(TEXT)], {"reasoning_effort": "low"}),
    "openai_responses": (GPT5, "/v1", [responses(TEXT)], {"model_type": "responses", "max_tokens": 20000, "temperature": 1.0}),
    "openai_json_schema": (GPT4O, "/v1", [openai('{"answer": "yes", "n": 3, "tags": ["a"]}')],
                           {"signature": "question -> answer, n: int, tags: list[str]", "adapter": "json"}),
    "openai_json_schema_refused_400": (GPT4O, "/v1", [NO_SCHEMA, openai('{"answer": "yes"}')], {"adapter": "json"}),
    "azure_deployment": ("azure/my-deployment", "", [openai(TEXT)], {"api_version": "2024-10-21"}),
    "gemini_native": ("gemini/gemini-2.5-flash", "", [gemini(TEXT)], {}),
    "gemini_openai_compatible": ("openai/gemini-2.5-flash", "/v1beta/openai", [openai(TEXT)], {"max_tokens": 100}),
    "hosted_vllm_json_schema": ("hosted_vllm/llama", "/v1", [openai('{"answer": "yes"}')], {"adapter": "json"}),
}  # fmt: skip


class Recorder(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append({
            "path": self.path,
            "headers": {k: v for k, v in self.headers.items() if k.lower() in KEPT},
            "body": json.loads(body) if body else None,
        })  # fmt: skip
        status, headers, reply = self.server.replies.pop(0) if self.server.replies else (500, {}, {"error": {"message": "none"}})
        data = json.dumps(reply).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def usage_of(lm):
    usage = lm.history[-1]["usage"]
    usage = dict(usage) if usage else usage
    return json.loads(json.dumps(usage, default=lambda o: getattr(o, "__dict__", str(o))))


def exchanged(server, name):
    model, path, replies, kwargs = CASES[name]
    kwargs = dict(kwargs)
    signature, adapter, demos = kwargs.pop("signature", "question -> answer"), kwargs.pop("adapter", None), kwargs.pop("demos", 0)
    server.requests, server.replies = [], list(replies)
    now = {"name": name, "model": model, "kwargs": dict(kwargs)}
    address = f"http://127.0.0.1:{server.server_port}{path}"
    try:
        lm = dspy.LM(model, api_key="KEY", api_base=address, cache=False, num_retries=kwargs.pop("num_retries", 0), **kwargs)
        with dspy.context(lm=lm, adapter=ADAPTERS[adapter]()):
            predict = dspy.Predict(signature)
            predict.demos = [{"question": f"d{i}", "answer": "a"} for i in range(demos)]
            result = predict(question="q")
        now["result"] = {k: str(v) for k, v in dict(result).items()}
        now["usage_seen"] = usage_of(lm)
    except Exception as e:  # which class it is, is the finding
        now["error"] = [type(e).__name__, str(e).split("\n")[0][:200]]
    now["requests"] = server.requests
    return now


def wire(was):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        return {"_rule": was["_rule"], "cases": [exchanged(server, c["name"]) for c in was["cases"]]}
    finally:
        server.shutdown()


MAKERS = {"wire": wire}
