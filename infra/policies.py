"""Holds the templates to what linters do not know: who may do what, and how queues, functions, routes and templates fit.

Prints each fault as `template: resource: what is wrong`, and exits with 1 if there is any.
"""

import json
import re
import sys
from pathlib import Path

import cfnlint
import yaml

# Every action of IAM, with the kinds of resources that it can be limited to, as cfn-lint keeps them.
KNOWN = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())

# "Receiving read-only management events from AWS services", of EventBridge.
HEARS_ALL_CALLS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
PATTERN_BYTES = 2048  # "Event pattern size" in the quotas of EventBridge

# "IAM and AWS STS quotas": what a role can have, and how many characters that are no white space.
MANAGED_POLICIES = 10
MANAGED_CHARACTERS = 6144
INLINE_CHARACTERS = 10240
# What descriptions promise that lists of ARNs may have together. Of runbooks they count twice, for policies name them twice.
LISTED_CHARACTERS = 3000

# The scopes that the functions know, each with whether it lets its holder change anything.
SCOPES = {"approvals:decide": True, "runs:read": False, "runs:trigger": True}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
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


# What makes policies long.
LONG = {"AWS::Partition": "aws-us-gov", "AWS::Region": "ap-northeast-1", "AWS::URLSuffix": "amazonaws.com.cn"}
LONG |= {"AWS::AccountId": "111122223333", "AWS::StackName": "s" * 63}
RUNBOOK = "arn:aws:ssm:eu-central-1:111122223333:document/Contain"
RUNBOOKS = [RUNBOOK] * (LISTED_CHARACTERS // (2 * len(RUNBOOK)))
ACCOUNTS = ["111122223333"] * 50


def written(value, parameters):
    """What becomes of a value where every condition holds, runbooks take all that lists of ARNs may have, and accounts are many."""
    if isinstance(value, list):
        all = [written(one, parameters) for one in value]
        return [one for one in all if one is not None]
    if not isinstance(value, dict):
        return value
    function, of = next(iter(value.items())) if len(value) == 1 else (None, None)
    if function == "Ref":
        if of == "AWS::NoValue":
            return None
        parameter = parameters.get(of, {})
        if parameter.get("Type") == "CommaDelimitedList":
            if "AllowedPattern" not in parameter:
                return ACCOUNTS
            return RUNBOOKS if re.fullmatch(parameter["AllowedPattern"], RUNBOOK) else RUNBOOKS[:1]
        return LONG.get(of) or str(parameter.get("Default") or "x" * 64)
    if function == "Fn::GetAtt":
        return f"arn:aws:service:{LONG['AWS::Region']}:111122223333:{LONG['AWS::StackName']}-{'x' * 40}"
    if function == "Fn::If":
        return written(of[1], parameters)
    if function == "Fn::Sub":
        text, names = of if isinstance(of, list) else (of, {})
        put = lambda match: str(written(names.get(match[1], {"Ref": match[1]}), parameters))
        return re.sub(r"\$\{([^}]+)\}", put, text)
    if function == "Fn::Join":
        return of[0].join(written(of[1], parameters))
    if function == "Fn::Split":
        return written(of[1], parameters).split(of[0])
    if function == "Fn::Select":
        return written(of[1], parameters)[of[0]]
    return {name: written(inner, parameters) for name, inner in value.items()}


def size_faults(resources, parameters):
    """No role has more policies than it can have, and none is too long, whatever is switched on."""
    length = lambda document: len(re.sub(r"\s", "", json.dumps(written(document, parameters))))
    attached = {}
    for logical, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            for role in properties["Roles"]:
                attached.setdefault(role["Ref"], []).append(logical)
            if length(properties["PolicyDocument"]) > MANAGED_CHARACTERS:
                yield logical, f"may have more than the {MANAGED_CHARACTERS} characters that a managed policy can have"
        if resource["Type"] == "AWS::IAM::Role":
            policies = list(branches(properties.get("Policies", [])))
            size = sum(length(policy["PolicyDocument"]) for policy in policies)
            if size > INLINE_CHARACTERS:
                yield logical, f"may have {size} characters of inline policies; a role can have {INLINE_CHARACTERS}"
    for role, policies in attached.items():
        if len(policies) > MANAGED_POLICIES:
            yield role, f"has {len(policies)} managed policies; a role can have {MANAGED_POLICIES}"


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
        calls = any(str(kind).endswith("via CloudTrail") for _, kind, _ in alternatives(pattern))
        if calls and resource["Properties"].get("State") != HEARS_ALL_CALLS:
            yield logical, f"is told of no calls that only read; set `State: {HEARS_ALL_CALLS}`"
        for alternative in pattern.get("$or", [pattern]):
            if "source" not in alternative:
                yield logical, "takes events of any source, which anybody in the account can put"
        for target in resource["Properties"]["Targets"]:
            if "DeadLetterConfig" not in target:
                yield logical, "loses what it cannot deliver"


def alternatives(pattern):
    """What a pattern takes: source and type of events, and what else it asks of them."""
    for alternative in pattern.get("$or", [pattern]):
        rest = {name: asked for name, asked in alternative.items() if name not in ("source", "detail-type")}
        for source in alternative.get("source", []):
            for kind in alternative.get("detail-type", []):
                yield source, kind, rest


def takes(wanted, value):
    """Whether a matcher of a pattern takes all that another one does."""
    prefix = wanted.get("prefix") if isinstance(wanted, dict) else None
    narrower = value.get("prefix") if isinstance(value, dict) else value
    return wanted == value or (prefix is not None and narrower is not None and narrower.startswith(prefix))


def bus_faults(resources, member):
    """What the hub takes from its own account it takes from members too, and members forward just that."""
    if not any(resource["Type"] == "AWS::Events::EventBus" for resource in resources.values()):
        return
    rules = {
        logical: resource
        for logical, resource in resources.items()
        if resource["Type"] == "AWS::Events::Rule" and "EventPattern" in resource["Properties"]
    }
    heard = []
    for logical, rule in rules.items():
        properties = rule["Properties"]
        on_hub_bus = "EventBusName" in properties
        twin = f"{logical.removesuffix('HubRule')}Rule" if on_hub_bus else f"{logical.removesuffix('Rule')}HubRule"
        if twin not in rules or on_hub_bus == ("EventBusName" in rules[twin]["Properties"]):
            yield logical, f"has no twin `{twin}` on the other bus"
            continue
        if not on_hub_bus:
            continue
        for part in ("EventPattern", "State", "Targets"):
            if properties.get(part) != rules[twin]["Properties"].get(part):
                yield logical, f"has another `{part}` than `{twin}`"
        if rule.get("Condition") != rules[twin].get("Condition"):
            yield logical, f"has another `Condition` than `{twin}`"
        heard += [(logical, *one) for one in alternatives(properties["EventPattern"])]
    forwarded = [
        one
        for rule in member["Resources"].values()
        if rule["Type"] == "AWS::Events::Rule"
        and any(target["Arn"] == {"Ref": "HubBusArn"} for target in rule["Properties"]["Targets"])
        for one in alternatives(rule["Properties"]["EventPattern"])
    ]
    for logical, source, kind, rest in heard:
        if not any(takes(one[0], source) and takes(one[1], kind) and one[2] in ({}, rest) for one in forwarded):
            yield logical, f"takes `{kind}` of `{source}`, which members do not forward"
    for source, kind, _ in forwarded:
        if not any(takes(source, one[1]) and takes(kind, one[2]) for one in heard):
            yield "Bus", f"is forwarded `{kind}` of `{source}`, which no rule on it takes"


def route_faults(resources, parameters):
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::ApiGatewayV2::Route":
            continue
        properties = resource["Properties"]
        if "JWT" not in branches(properties.get("AuthorizationType")):
            continue
        changes = not properties["RouteKey"].startswith("GET ")
        scopes = list(branches(properties.get("AuthorizationScopes", [])))
        if not scopes:
            yield logical, "opens to every token; name scopes"
        for scope in scopes:
            parameter = parameters.get(scope.get("Ref"), {}) if isinstance(scope, dict) else {}
            pattern = parameter.get("AllowedPattern", "^$" if isinstance(scope, dict) else f"^{re.escape(scope)}$")
            known = next((known for known in SCOPES if pattern.endswith(f"{known}$") or re.fullmatch(pattern, known)), None)
            if known is None or not pattern.startswith("^") or any(re.fullmatch(pattern, wrong) for wrong in ("", "openid")):
                yield logical, f"opens to the scope `{scope}`, whose values are not held to one that the functions know"
            elif changes and not SCOPES[known]:
                yield logical, f"changes something, and opens to `{known}`, which is for reading"


def ends_of(value):
    """The queues that what fails ends on."""
    if isinstance(value, list):
        for inner in value:
            yield from ends_of(inner)
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "RedrivePolicy":
                yield inner["deadLetterTargetArn"]["Fn::GetAtt"][0]
            elif key == "DeadLetterConfig":
                yield inner["Arn"]["Fn::GetAtt"][0]
            elif key == "DeadLetterQueue":
                yield inner["TargetArn"]["Fn::GetAtt"][0]
            else:
                yield from ends_of(inner)


def throttles_of(table, logical):
    """Where a table may hold callers back: itself and each index, reads and writes, as metrics name them."""
    for index in [None, *(one["IndexName"] for one in table["Properties"].get("GlobalSecondaryIndexes", []))]:
        dimensions = [{"Name": "TableName", "Value": {"Ref": logical}}]
        if index:
            dimensions.append({"Name": "GlobalSecondaryIndexName", "Value": index})
        for metric in ("ReadThrottleEvents", "WriteThrottleEvents"):
            yield f"{metric} of `{index}`" if index else metric, metric, dimensions


def alarm_faults(resources):
    """Every queue that something ends on and every table and index is watched, and every alarm tells whom the template's
    parameters name."""
    watched = set()
    counted = []
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::CloudWatch::Alarm":
            continue
        properties = resource["Properties"]
        for dimension in properties.get("Dimensions", []):
            if dimension["Name"] == "QueueName":
                watched.add((dimension["Value"]["Fn::GetAtt"][0], properties["MetricName"]))
        expressions = " ".join(one.get("Expression", "") for one in properties.get("Metrics", []))
        for one in properties.get("Metrics", []):
            if "MetricStat" in one:
                if re.search(rf"\b{one['Id']}\b", expressions):
                    counted.append(one["MetricStat"]["Metric"])
                else:
                    yield logical, f"does not count its `{one['Id']}`"
        for way in ("AlarmActions", "OKActions"):
            if way not in properties:
                yield logical, f"tells nobody; it has no `{way}`"
    ends = {name for resource in resources.values() for name in ends_of(resource.get("Properties", {}))}
    for name in sorted(ends):
        if (name, "ApproximateNumberOfMessagesVisible") not in watched:
            yield name, "fills without an alarm"
    for logical, resource in resources.items():
        if resource["Type"] == "AWS::DynamoDB::Table":
            for name, metric, dimensions in throttles_of(resource, logical):
                if {"Namespace": "AWS/DynamoDB", "MetricName": metric, "Dimensions": dimensions} not in counted:
                    yield logical, f"has no alarm on {name}"


def count_faults(resources, parameters):
    """What a function answers to fail of a batch is no error of Lambda's, and SQS leaves messages that were received three times or
    more out of a queue's age ("Available CloudWatch metrics for Amazon SQS"): alarms watch what functions count themselves."""
    counted = {}
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudWatch::Alarm" and properties.get("Namespace") == "Quench":
            for dimension in properties["Dimensions"]:
                if dimension["Name"] == "Function":
                    counted[properties["MetricName"], dimension["Value"].get("Ref")] = properties
    put_on = {
        target["Arn"]["Fn::GetAtt"][0]
        for resource in resources.values()
        if resource["Type"] == "AWS::Events::Rule"
        for target in resource["Properties"]["Targets"]
        if "Fn::GetAtt" in target["Arn"]
    }
    for logical, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] != "AWS::Lambda::EventSourceMapping" or "FunctionResponseTypes" not in properties:
            continue
        function, queue = properties["FunctionName"]["Ref"], properties["EventSourceArn"]["Fn::GetAtt"][0]
        alarm = counted.get(("MessagesFailed", function))
        away = resources[queue]["Properties"]["VisibilityTimeout"]
        away = parameters[away["Ref"]]["Default"] if isinstance(away, dict) else away
        if alarm is None or alarm["Statistic"] != "Sum":
            yield logical, "answers which messages failed, and no alarm watches `MessagesFailed` of its function"
        elif alarm["Period"] <= away:
            yield logical, f"has messages that fail delivered again after {away} seconds, which an alarm misses whose period is no longer"
        if queue in put_on and ("PayloadsRefused", function) not in counted:
            yield logical, "takes payloads, and no alarm watches `PayloadsRefused` of its function"


def key_faults(resources):
    """A key may be lent by services of AWS for what they keep, and by nobody else."""
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::KMS::Key":
            continue
        for statement in resource["Properties"]["KeyPolicy"]["Statement"]:
            actions = statement["Action"]
            condition = statement.get("Condition", {}).get("Bool", {})
            if "kms:CreateGrant" in ([actions] if isinstance(actions, str) else actions):
                if condition.get("kms:GrantIsForAWSResource") != "true":
                    yield logical, "may be granted to anybody, not to services of AWS alone"


def kept_faults(resources):
    """A table that refuses to be deleted is kept, or no deployment that makes it can be rolled back; and its key with it, without
    which DynamoDB does nothing to it any more ("TableStatus" in its API Reference)."""
    for logical, resource in resources.items():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        if True in branches(resource["Properties"].get("DeletionProtectionEnabled")) and resource.get("DeletionPolicy") != "Retain":
            yield logical, "is protected from deletion, so set `DeletionPolicy: Retain`"
        key = resource["Properties"]["SSESpecification"]["KMSMasterKeyId"]["Fn::GetAtt"][0]
        for part in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resources[key].get(part) != resource.get(part):
                yield key, f"has another `{part}` than `{logical}`, which needs it"


def variable_faults(resources, metadata):
    for logical, resource in resources.items():
        variables = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
        for name in variables:
            functions = metadata.get("ToldOnly", {}).get(name, [logical])
            if logical not in functions:
                yield logical, f"is told `{name}`, which is for {', '.join(functions)} alone"


# What a template that hands another one out says by itself.
OF_STACK_SETS = {"MemberTemplateUrl", "RollOut", "OrganizationalUnits", "Regions", "ExceptAccounts"}
OF_STACK_SETS |= {"AutomaticDeployment", "KeepWhenAccountsLeave", "CallAs"}


def stack_set_faults(template, member):
    """A StackSet hands on every parameter of the member template, held to the same values, and may make what it has."""
    theirs, ours = member["Parameters"], template["Parameters"]
    for logical, resource in template["Resources"].items():
        if resource["Type"] != "AWS::CloudFormation::StackSet":
            continue
        properties = resource["Properties"]
        if properties.get("TemplateURL") != {"Ref": "MemberTemplateUrl"}:
            yield logical, "has another template than `MemberTemplateUrl`"
        handed = {one["ParameterKey"]: one["ParameterValue"] for one in properties["Parameters"]}
        for name in sorted(set(theirs) - set(handed)):
            yield logical, f"does not hand `{name}` on"
        for name in sorted(set(handed) - set(theirs)):
            yield logical, f"hands `{name}` on, which the member does not know"
        for name, value in handed.items():
            wanted = {"Ref": name}
            if theirs.get(name, {}).get("Type") == "CommaDelimitedList":
                wanted = {"Fn::Join": [",", wanted]}
            if value != wanted:
                yield logical, f"hands something else on as `{name}`"
        makes_named = any("RoleName" in made.get("Properties", {}) for made in member["Resources"].values())
        if makes_named and "CAPABILITY_NAMED_IAM" not in properties.get("Capabilities", []):
            yield logical, "may not make the member's role; it needs `CAPABILITY_NAMED_IAM`"
    # A role of one name can be made once in an account, and of what is made in no region there is none.
    home = {"Fn::Contains": [{"Ref": "Regions"}, {"Ref": "HomeRegion"}]}
    remediates = {"Fn::Equals": [{"Ref": "Remediate"}, "true"]}
    rules = [rule for rule in template.get("Rules", {}).values() if rule.get("RuleCondition") == remediates]
    if not any(one["Assert"] == home for rule in rules for one in rule["Assertions"]):
        yield "HomeRegion", "is not held to be one of `Regions` where `Remediate` is true"
    for name, parameter in ours.items():
        if name in OF_STACK_SETS:
            continue
        for part in ("Type", "Default", "AllowedValues", "AllowedPattern"):
            if parameter.get(part) != theirs.get(name, {}).get(part):
                yield name, f"has another `{part}` than the member's"


def role_name_faults(template, member):
    """The hub asks for the role that members make."""
    for name in ("RemediationRoleName", "ExternalId"):
        for key in ("Default", "AllowedPattern"):
            if template["Parameters"][name].get(key) != member["Parameters"][name].get(key):
                yield name, f"has another `{key}` than the member's"
    path = member["Resources"]["RemediationRole"]["Properties"]["Path"].strip("/")
    text = json.dumps(template["Resources"])
    if f'"{path}/${{RemediationRoleName}}"' not in text or f":role/{path}/${{RemediationRoleName}}" not in text:
        yield "RunnerRole", f"does not ask for the role below `/{path}/` that members make"


def suppression_faults(template):
    held = [("Metadata", template.get("Metadata", {}))]
    held += [(logical, resource.get("Metadata", {})) for logical, resource in template["Resources"].items()]
    for logical, metadata in held:
        for skip in metadata.get("checkov", {}).get("skip", []):
            if len(skip.get("comment", "").split()) < 4:
                yield logical, f"skips `{skip['id']}` without a reason"
        if metadata.get("cfn-lint"):
            yield logical, "silences cfn-lint; mend what it found"


def load(path):
    return yaml.load(Path(path).read_text(), Loader)


def faults(template, member):
    """All that is wrong with a template, given that of members, as pairs of where and what."""
    resources = template["Resources"]
    parameters = template.get("Parameters", {})
    metadata = template.get("Metadata", {}).get("Quench", {})
    return [
        *policy_faults(resources, metadata),
        *variable_faults(resources, metadata),
        *key_faults(resources),
        *size_faults(resources, parameters),
        *queue_faults(resources, parameters),
        *alarm_faults(resources),
        *count_faults(resources, parameters),
        *rule_faults(resources),
        *kept_faults(resources),
        *bus_faults(resources, member),
        *route_faults(resources, parameters),
        *suppression_faults(template),
        *(stack_set_faults(template, member) if "MemberTemplateUrl" in parameters else []),
        *(role_name_faults(template, member) if "Remediate" in parameters and "RunnerRole" in resources else []),
    ]


def main(paths):
    templates = {path: load(path) for path in paths}
    member = load(Path(__file__).with_name("member.yaml"))
    count = 0
    for path, template in templates.items():
        for logical, fault in faults(template, member):
            print(f"{path}: {logical}: {fault}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
