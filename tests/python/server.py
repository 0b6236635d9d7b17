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
SHUT = sys.argv[2] + ".shut"  # while it is there nothing is answered


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
        with LOCK:
            CAME[0] += 1
        time.sleep(LATENCY)
        while os.path.exists(SHUT):
            time.sleep(0.02)
        out = rule.body(request)
        flat = json.dumps(request["messages"], sort_keys=True)
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
