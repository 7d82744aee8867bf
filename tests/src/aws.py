"""Calls AWS with its own SDK: a call a line in, its answer a line out, both as JSON."""

import base64
import datetime
import json
import os
import sys

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.exceptions

CONFIG = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=120)
SESSION = boto3.Session()
CLIENTS = {}


def client(service):
    if service not in CLIENTS:
        CLIENTS[service] = SESSION.client(service, config=CONFIG)
    return CLIENTS[service]


def resolved(value):
    """Parameters, with the content of files in place of `{"file": path}`."""
    if isinstance(value, dict):
        if list(value) == ["file"]:
            with open(value["file"], "rb") as file:
                return file.read()
        return {name: resolved(part) for name, part in value.items()}
    if isinstance(value, list):
        return [resolved(part) for part in value]
    return value


def plain(value):
    if isinstance(value, (bytes, bytearray)):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, "read"):
        return value.read().decode()
    return str(value)


def signed(request):
    """Headers that sign a request to an HTTP gateway."""
    unsigned = botocore.awsrequest.AWSRequest(
        method=request["method"], url=request["url"], headers=request["headers"], data=request["body"]
    )
    region = os.environ["AWS_REGION"]
    botocore.auth.SigV4Auth(SESSION.get_credentials(), "execute-api", region).add_auth(unsigned)
    return dict(unsigned.headers.items())


for line in sys.stdin:
    call = json.loads(line)
    try:
        if call["operation"] == "sign":
            answer = signed(call["parameters"])
        else:
            answer = getattr(client(call["service"]), call["operation"])(**resolved(call["parameters"]))
        answer = {"ok": answer}
    except botocore.exceptions.ClientError as error:
        answer = {"error": error.response["Error"]}
    except Exception as error:
        answer = {"error": {"Code": type(error).__name__, "Message": str(error)}}
    print(json.dumps(answer, default=plain), flush=True)
