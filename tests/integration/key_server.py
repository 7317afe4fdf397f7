"""An issuer's key server: `key_server.py PORT CERTIFICATE KEY ANSWER LOG`, by https.

ANSWER is a JSON file with `status`, `headers` and `body`, read anew for each request; LOG gets a line for each.
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    answer: Path
    log: Path

    def do_GET(self) -> None:
        with self.log.open("a") as log:
            log.write(json.dumps({"path": self.path, "fields": dict(self.headers)}) + "\n")
        answer = json.loads(self.answer.read_text())
        body = answer["body"].encode()
        self.send_response(answer["status"])
        for name, value in answer["headers"].items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def main() -> None:
    port, certificate, key, answer, log = sys.argv[1:]
    Handler.answer, Handler.log = Path(answer), Path(log)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", int(port)), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
