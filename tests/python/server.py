"""A server with OpenAI's interface that answers by rule.py: server.py PORT_FILE LOG_FILE [LATENCY]

A line of the log is the hash of the messages of a request that was answered; /count tells how many came.
"""
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import rule

LATENCY = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
LOG, LOCK = open(sys.argv[2], "a", buffering=1), threading.Lock()
BODIES = open(os.environ["BODIES"], "a", buffering=1) if os.environ.get("BODIES") else None  # messages, a line each
CAME = [0]
KEYS = open(sys.argv[2] + ".keys", "a", buffering=1)  # hashes of what stood in the requests' heads
SHUT = sys.argv[2] + ".shut"  # while it is there nothing is answered


# What a prompt may ask for in place of an answer.
REFUSED = {"ask-too-long": {"code": "context_length_exceeded", "message": "the prompt is too long"},
           "ask-filtered": {"code": "content_filter", "message": "the content filter was triggered"},
           "ask-invalid": {"code": None, "message": "there is something about this request"}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply(200, {"count": CAME[0], "data": [{"id": name} for name in ("task", "small", "large", "writer")]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        KEYS.write(hashlib.sha256((self.headers.get("Authorization") or "").encode()).hexdigest() + "\n")
        with LOCK:
            CAME[0] += 1
        time.sleep(LATENCY)
        while os.path.exists(SHUT):
            time.sleep(0.02)
        out = rule.body(request)
        flat = json.dumps(request["messages"], sort_keys=True)
        for word, error in REFUSED.items():
            if word in flat:
                self.reply(400, {"error": error})
                return
        if "ask-one" in flat:  # it gives one answer, however many it is asked for
            out["choices"] = out["choices"][:1]
        if "ask-nonsense" in flat:
            out["choices"][0]["message"]["content"] = "There is nothing to say in fields."
        if "ask-down" in flat and os.path.exists(sys.argv[2] + ".down"):
            with open(sys.argv[2] + ".refused", "a") as f:
                f.write("x\n")
            self.reply(503, {"error": {"message": "down"}})
            return
        with LOCK:
            if BODIES:
                BODIES.write(flat + "\n")
            LOG.write(hashlib.sha256(flat.encode()).hexdigest()[:16] + "\n")
        self.reply(200, out)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
with open(sys.argv[1] + ".part", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(sys.argv[1] + ".part", sys.argv[1])
server.serve_forever()
