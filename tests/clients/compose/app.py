# SPDX-License-Identifier: Apache-2.0
"""The application of the compose project: counts in the store, by Redis's own protocol, and says the number."""
import http.server
import os
import socket


def ask(*words):
    """One command to the store; its answer's first line."""
    with socket.create_connection((os.environ["STORE"], 6379), timeout=50) as s:
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return s.makefile("rb").readline().strip()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = ask(b"PING" if self.path == "/health" else b"INCR", *([] if self.path == "/health" else [b"count"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
