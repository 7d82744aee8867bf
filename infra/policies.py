"""Holds the templates to what linters do not know: who may do what, and how queues and functions fit.

Prints each fault as `template: resource: what is wrong`, and exits with 1 if there is any.
"""

import json
import sys
from pathlib import Path

import cfnlint
import yaml

# Every action of IAM, with the kinds of resources that it can be limited to, as cfn-lint keeps them.
KNOWN = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())

PATTERN_BYTES = 2048  # "Event pattern size" in the quotas of EventBridge


class Loader(yaml.SafeLoader):
    """Reads short forms of intrinsic functions as their long ones."""


def short_form(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", short_form)


def listed(value):
    return value if isinstance(value, list) else [value]


def branches(value):
    """Every value that a conditional one can take, and those in its lists."""
    if isinstance(value, list):
        for element in value:
            yield from branches(element)
    elif isinstance(value, dict) and set(value) == {"Fn::If"}:
        yield from branches(value["Fn::If"][1])
        yield from branches(value["Fn::If"][2])
    elif value != {"Ref": "AWS::NoValue"}:
        yield value


def documents(value, name=""):
    """Every policy document below a value, with the name of the property that holds it."""
    if isinstance(value, dict):
        if "Statement" in value:
            yield name, value
            return
        for key, inner in value.items():
            yield from documents(inner, name if key == "Fn::If" else key)
    elif isinstance(value, list):
        for inner in value:
            yield from documents(inner, name)


def resources_of(statement):
    return list(branches(statement.get("Resource", [])))


def statement_faults(holder, statement, any_resource, used):
    if statement.get("Effect") != "Allow":
        return
    for negation in ("NotAction", "NotResource", "NotPrincipal"):
        if negation in statement:
            yield f"allows by `{negation}`; name what is allowed"
    actions = list(branches(statement.get("Action", [])))
    for action in actions:
        if not isinstance(action, str) or "*" in action or "?" in action:
            yield f"allows `{action}`; name each action"
    is_key_policy = holder == "KeyPolicy"  # there `*` is the key itself
    if "*" in resources_of(statement) and not is_key_policy:
        for action in actions:
            used.add(action)
            if action not in any_resource:
                yield f"allows `{action}` on `*`; name resources, or give the reason in `Metadata.Quench.AnyResource`"
    for action in actions:
        service, _, name = str(action).partition(":")
        known = KNOWN.get(service, {}).get("Actions", {}).get(name.lower())
        if known is None:
            yield f"allows `{action}`, which is no action of IAM"
        elif holder != "AssumeRolePolicyDocument" and not known.get("Resources") and "*" not in resources_of(statement):
            yield f"limits `{action}` to resources, which it knows none of: so it allows nothing"
    conditions = {key for test in statement.get("Condition", {}).values() for key in test}
    for principal in branches(statement.get("Principal", [])):
        everybody = principal == "*" or "*" in listed(principal.get("AWS", []))
        account = ":root" in json.dumps(principal)
        if everybody and not conditions & {"aws:PrincipalOrgID", "aws:PrincipalArn", "aws:SourceArn"}:
            yield "allows everybody, on no condition that names who"
        if account and not is_key_policy and "aws:PrincipalArn" not in conditions:
            yield "trusts a whole account; name the principal in a condition on `aws:PrincipalArn`"


def policy_faults(resources, metadata):
    any_resource = metadata.get("AnyResource", {})
    only_by = metadata.get("OnlyBy", {})
    used = set()
    for logical, resource in resources.items():
        for holder, document in documents(resource.get("Properties", {})):
            for statement in branches(document["Statement"]):
                for fault in statement_faults(holder, statement, any_resource, used):
                    yield logical, fault
                if statement.get("Effect") != "Allow" or holder == "AssumeRolePolicyDocument":
                    continue
                for action in branches(statement.get("Action", [])):
                    if logical not in only_by.get(action, [logical]):
                        yield logical, f"may `{action}`, which is for {', '.join(only_by[action])} alone"
    for action in sorted(set(any_resource) - used):
        yield "Metadata", f"gives a reason for `{action}` on `*`, which nothing is allowed"


def queue_faults(resources, parameters):
    def default(value):
        return parameters[value["Ref"]]["Default"] if isinstance(value, dict) else value

    def named(value):
        return (value.get("Ref") or value["Fn::GetAtt"][0]) if isinstance(value, dict) else None

    guarded = {
        named(queue)
        for resource in resources.values()
        if resource["Type"] == "AWS::SQS::QueuePolicy"
        and any(
            statement.get("Effect") == "Deny" and "aws:SecureTransport" in json.dumps(statement)
            for statement in branches(resource["Properties"]["PolicyDocument"]["Statement"])
        )
        for queue in resource["Properties"]["Queues"]
    }
    for logical, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::SQS::Queue":
            if logical not in guarded:
                yield logical, "has no policy that demands TLS"
            if not {"KmsMasterKeyId", "SqsManagedSseEnabled"} & set(properties):
                yield logical, "is not encrypted"
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            queue = resources[named(properties["EventSourceArn"])]["Properties"]
            function = resources[named(properties["FunctionName"])]["Properties"]
            if "RedrivePolicy" not in queue:
                yield logical, "takes from a queue without dead letters"
            # "Configuring a queue for use with Lambda": six times the function's timeout.
            if default(queue["VisibilityTimeout"]) != 6 * default(function["Timeout"]):
                yield logical, "takes from a queue whose visibility timeout is not six times its function's timeout"
            if properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
                yield logical, "fails whole batches; set `FunctionResponseTypes: [ReportBatchItemFailures]`"


def rule_faults(resources):
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::Events::Rule":
            continue
        pattern = resource["Properties"].get("EventPattern")
        if pattern is None:
            continue
        size = len(json.dumps(pattern, separators=(",", ":")))
        if size > PATTERN_BYTES:
            yield logical, f"has a pattern of {size} bytes; EventBridge takes {PATTERN_BYTES}"
        for alternative in pattern.get("$or", [pattern]):
            if "source" not in alternative:
                yield logical, "takes events of any source, which anybody in the account can put"
        for target in resource["Properties"]["Targets"]:
            if "DeadLetterConfig" not in target:
                yield logical, "loses what it cannot deliver"


def suppression_faults(template):
    held = [("Metadata", template.get("Metadata", {}))]
    held += [(logical, resource.get("Metadata", {})) for logical, resource in template["Resources"].items()]
    for logical, metadata in held:
        for skip in metadata.get("checkov", {}).get("skip", []):
            if len(skip.get("comment", "").split()) < 4:
                yield logical, f"skips `{skip['id']}` without a reason"
        if metadata.get("cfn-lint"):
            yield logical, "silences cfn-lint; mend what it found"


def main(paths):
    faults = 0
    for path in paths:
        template = yaml.load(Path(path).read_text(), Loader)
        resources = template["Resources"]
        found = [
            *policy_faults(resources, template.get("Metadata", {}).get("Quench", {})),
            *queue_faults(resources, template.get("Parameters", {})),
            *rule_faults(resources),
            *suppression_faults(template),
        ]
        for logical, fault in found:
            print(f"{path}: {logical}: {fault}")
        faults += len(found)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
