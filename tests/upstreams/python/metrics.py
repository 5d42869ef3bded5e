"""The external metrics API of one metric, whose value is read from a file with each request. For tests of autoscalers.

Ends when its standard input does."""

import http.server
import json
import ssl
import sys
import threading


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        root = "/apis/external.metrics.k8s.io/v1beta1"
        if self.path.split("?")[0].rstrip("/") == root:
            body = {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": "external.metrics.k8s.io/v1beta1",
                "resources": [],
            }
        else:
            with open(self.server.value) as file:
                value = file.read().strip()
            item = {"metricName": "load", "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z", "value": value}
            body = {
                "kind": "ExternalMetricValueList",
                "apiVersion": "external.metrics.k8s.io/v1beta1",
                "metadata": {},
                "items": [item],
            }
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def main():
    certificate, key, value = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Metrics)
    server.value = value
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
