"""The other floor: what a function in Python would be before it does anything."""

import http.client
import json
import os

import boto3  # noqa: F401 (what its import costs is what is measured)


def handler(event):
    return {"batchItemFailures": []}


api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    invocation = api.getresponse()
    answer = handler(json.load(invocation))
    request = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", json.dumps(answer))
    api.getresponse().read()
