#!/usr/bin/env python3
"""A forward proxy for tests: proxy.py PORT-FILE LOG KIND. Each request is a line of LOG: method, address, whether it
has a key, who asks. KIND is open, or what it says to everybody: 403, 407, 502, html; `open:USER:PASSWORD` wants to
know who asks. What it opens leads to 127.0.0.1, whatever the host is called. It ends with its parent."""
import base64, ctypes, os, select, signal, socket, sys, threading

port_file, log_file, kind = sys.argv[1:4]
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
PAGE = b"<html><head><title>Access Denied</title></head><body>by the company's policy</body></html>"


def say(conn, status, body=PAGE, more=b""):
    conn.sendall(b"HTTP/1.1 %s\r\nContent-Type: text/html\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, more, len(body), body))


def pump(a, b):
    while True:
        for s in select.select([a, b], [], [])[0]:
            data = s.recv(65536)
            if not data:
                return
            (b if s is a else a).sendall(data)


def serve(conn):
    with conn:
        head = b""
        while b"\r\n\r\n" not in head:
            data = conn.recv(65536)
            if not data:
                return
            head += data
        head, rest = head.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        method, target, _ = lines[0].split(b" ")
        headers = {k.lower(): v.strip() for k, v in (line.split(b":", 1) for line in lines[1:])}
        who = headers.get(b"proxy-authorization", b"-").split(b" ")[-1]
        with open(log_file, "ab") as log:
            log.write(b"%s %s %s %s\n" % (method, target, b"key" if b"authorization" in headers else b"-", who))
        wanted = kind[5:].encode()
        if kind == "407" or (kind.startswith("open:") and who != base64.b64encode(wanted)):
            return say(conn, b"407 Proxy Authentication Required", more=b"Proxy-Authenticate: Basic realm=\"x\"\r\n")
        if kind == "403":
            return say(conn, b"403 Forbidden")
        if kind == "502":
            return say(conn, b"502 Bad Gateway")
        if kind == "html":
            return say(conn, b"200 OK")
        address = target if method == b"CONNECT" else target.split(b"/")[2]
        with socket.create_connection(("127.0.0.1", int(address.rsplit(b":", 1)[1]))) as server:
            if method == b"CONNECT":
                conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = b"/" + target.split(b"/", 3)[3]
                kept = [line for line in lines[1:] if not line.lower().startswith((b"proxy-", b"connection:"))]
                server.sendall(b"\r\n".join([b"%s %s HTTP/1.1" % (method, path)] + kept + [b"Connection: close"]) + b"\r\n\r\n" + rest)
            pump(conn, server)


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
with open(port_file + ".part", "w") as f:
    f.write(f"{listener.getsockname()[1]}\n")
os.rename(port_file + ".part", port_file)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
