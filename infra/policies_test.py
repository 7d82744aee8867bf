"""Breaks the templates on purpose, one way after the other: each break must be found."""

import copy
import unittest
from pathlib import Path

import policies

HERE = Path(__file__).parent
TEMPLATES = {name: policies.load(HERE / f"{name}.yaml") for name in ("hub", "member", "organization")}


def statements(template, role, policy):
    """The statements of a policy of a role, whether it is there on a condition or not."""
    for one in policies.branches(template["Resources"][role]["Properties"]["Policies"]):
        if one["PolicyName"] == policy:
            return one["PolicyDocument"]["Statement"]
    raise KeyError(policy)


def properties(template, name):
    return template["Resources"][name]["Properties"]


class Breaks(unittest.TestCase):
    def found(self, name, expected, change):
        template = copy.deepcopy(TEMPLATES[name])
        member = copy.deepcopy(TEMPLATES["member"])
        change(template)
        told = [f"{where}: {what}" for where, what in policies.faults(template, template if name == "member" else member)]
        self.assertTrue(any(expected in one for one in told), f"`{expected}` is not among {told}")

    def test_the_templates_are_sound(self):
        for name, template in TEMPLATES.items():
            self.assertEqual(policies.faults(template, TEMPLATES["member"]), [], name)

    def test_actions(self):
        def allow(action, resource="*", role="AlertRole"):
            def change(hub):
                statements(hub, role, "queues").append({"Effect": "Allow", "Action": action, "Resource": resource})

            return change

        arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/quench"
        self.found("hub", "AlertRole: allows `dynamodb:*`", allow("dynamodb:*", arn))
        self.found("hub", "AlertRole: allows `dynamodb:GetItem` on `*`", allow("dynamodb:GetItem"))
        self.found("hub", "`dynamodb:GetItems`, which is no action of IAM", allow("dynamodb:GetItems", arn))
        self.found("hub", "limits `guardduty:GetFindings` to resources", allow("guardduty:GetFindings", arn))
        self.found("hub", "allows by `NotResource`", lambda hub: statements(hub, "AlertRole", "queues")[0].update(NotResource=arn))

    def test_what_is_for_one_role_alone(self):
        def allow(action, role):
            def change(hub):
                one = {"Effect": "Allow", "Action": action, "Resource": "arn:aws:iam::111122223333:role/quench/QuenchRemediation"}
                statements(hub, role, "own-log").append(one)

            return change

        for role in ("AlertRole", "WebhookRole", "ManualRole", "ApproveRole", "ScheduleRole"):
            self.found("hub", f"{role}: may `sts:AssumeRole`, which is for RunnerRole alone", allow("sts:AssumeRole", role))
        self.found("hub", "ManualRole: may `ses:SendEmail`", allow("ses:SendEmail", "ManualRole"))
        self.found("hub", "ScheduleRole: may `states:StartExecution`", allow("states:StartExecution", "ScheduleRole"))

        def tell(hub):
            properties(hub, "ManualFunction")["Environment"]["Variables"]["QUENCH_EXTERNAL_ID"] = {"Ref": "ExternalId"}

        self.found("hub", "ManualFunction: is told `QUENCH_EXTERNAL_ID`", tell)

    def test_what_a_role_can_have(self):
        def one_more(member):
            member["Resources"]["EleventhPolicy"] = copy.deepcopy(member["Resources"]["AuditPolicy"])

        def arns(count):
            return [f"arn:aws:s3:::{'b' * 40}{number:03}" for number in range(count)]

        def allow(count):
            one = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": arns(count)}
            return lambda hub: statements(hub, "RunnerRole", "table").append(one)

        def allow_there(count):
            one = {"Effect": "Allow", "Action": "s3:GetBucketPolicy", "Resource": arns(count)}
            return lambda member: properties(member, "StoragePolicy")["PolicyDocument"]["Statement"].append(one)

        self.found("member", "RemediationRole: has 11 managed policies; a role can have 10", one_more)
        self.found("hub", "characters of inline policies; a role can have 10240", allow(30))
        self.found("member", "StoragePolicy: may have more than the 6144 characters", allow_there(120))

    def test_who_is_trusted(self):
        def trust(member):
            del properties(member, "RemediationRole")["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"]

        self.found("member", "RemediationRole: trusts a whole account", trust)

        def everybody(hub):
            policy = policies.branches(properties(hub, "Bus")["Policy"])
            for one in policies.branches(next(policy)["Statement"]):
                one.pop("Condition", None)

        self.found("hub", "Bus: allows everybody", everybody)

    def test_queues(self):
        self.found("hub", "AlertQueue: has no policy that demands TLS", lambda hub: hub["Resources"].pop("AlertQueuePolicy"))
        self.found("hub", "AlertQueue: is not encrypted", lambda hub: properties(hub, "AlertQueue").pop("KmsMasterKeyId"))
        self.found("hub", "without dead letters", lambda hub: properties(hub, "RunsQueue").pop("RedrivePolicy"))
        self.found("hub", "not six times", lambda hub: hub["Parameters"]["RunnerTimeout"].update(Default=90))
        self.found("hub", "fails whole batches", lambda hub: properties(hub, "AlertSource").pop("FunctionResponseTypes"))

    def test_alarms(self):
        for name in ("AlertDeadLetters", "RunsDeadLetters", "Undelivered"):
            drop = lambda hub, name=name: hub["Resources"].pop(f"{name}Alarm")
            self.found("hub", f"{name}: fills without an alarm", drop)
        self.found("member", "Undelivered: fills without an alarm", lambda member: member["Resources"].pop("UndeliveredAlarm"))
        self.found("hub", "RunsLateAlarm: tells nobody", lambda hub: properties(hub, "RunsLateAlarm").pop("AlarmActions"))

    def test_grants(self):
        def to_anybody(hub):
            properties(hub, "Key")["KeyPolicy"]["Statement"][0]["Action"].append("kms:CreateGrant")

        self.found("hub", "Key: may be granted to anybody", to_anybody)

    def test_throttles(self):
        def index(hub):
            properties(hub, "Table")["GlobalSecondaryIndexes"].append({"IndexName": "third"})

        def uncounted(hub):
            sum = properties(hub, "TableThrottlesAlarm")["Metrics"][0]
            sum["Expression"] = sum["Expression"].replace("FILL(dueReads, 0), ", "")

        self.found("hub", "Table: has no alarm on ReadThrottleEvents of `third`", index)
        self.found("hub", "TableThrottlesAlarm: does not count its `dueReads`", uncounted)
        self.found("hub", "Table: has no alarm on WriteThrottleEvents", lambda hub: hub["Resources"].pop("TableThrottlesAlarm"))

    def test_counts(self):
        drop = lambda name: lambda hub: hub["Resources"].pop(name)
        change = lambda name, **parts: lambda hub: properties(hub, name).update(parts)
        unwatched = "no alarm watches `MessagesFailed`"
        for name in ("Alert", "Recommendation", "Compliance", "Runner"):
            self.found("hub", f"{name}Source: answers which messages failed, and {unwatched}", drop(f"{name}MessagesFailedAlarm"))
        for name in ("Alert", "Recommendation", "Compliance"):
            self.found("hub", f"{name}Source: takes payloads, and no alarm", drop(f"{name}PayloadsRefusedAlarm"))
        elsewhere = change("AlertMessagesFailedAlarm", Dimensions=[{"Name": "Function", "Value": {"Ref": "RunnerFunction"}}])
        self.found("hub", f"AlertSource: answers which messages failed, and {unwatched}", elsewhere)
        self.found("hub", unwatched, change("RunnerMessagesFailedAlarm", Statistic="SampleCount"))
        self.found("hub", "RunnerSource: has messages that fail delivered again after 360", change("RunnerMessagesFailedAlarm", Period=300))

    def test_rules(self):
        def any_source(hub):
            properties(hub, "ComplianceRule")["EventPattern"]["$or"][0].pop("source")

        self.found("hub", "ComplianceRule: takes events of any source", any_source)
        self.found("hub", "AlertRule: loses", lambda hub: properties(hub, "AlertRule")["Targets"][0].pop("DeadLetterConfig"))
        for name, template in (("CloudTrailRule", "hub"), ("CloudTrailHubRule", "hub"), ("CloudTrailRule", "member")):
            enabled = lambda template, name=name: properties(template, name).update(State="ENABLED")
            self.found(template, f"{name}: is told of no calls that only read", enabled)
        pad = lambda hub: properties(hub, "AlertRule")["EventPattern"].update(detail={"id": ["x" * 2000]})
        self.found("hub", "AlertRule: has a pattern of", pad)

    def test_rules_of_the_two_buses(self):
        def pattern(hub, name):
            return properties(hub, name)["EventPattern"]

        def both(change):
            return lambda hub: [change(pattern(hub, name)["$or"]) for name in ("AlertRule", "AlertHubRule")]

        one_alone = lambda hub: pattern(hub, "ComplianceRule")["$or"].pop()
        self.found("hub", "ComplianceHubRule: has another `EventPattern` than `ComplianceRule`", one_alone)
        elsewhere = lambda hub: properties(hub, "AlertHubRule")["Targets"][0].update(Arn=hub["Resources"]["RecommendationQueue"])
        self.found("hub", "AlertHubRule: has another `Targets`", elsewhere)
        always = lambda hub: hub["Resources"]["CloudTrailHubRule"].pop("Condition")
        self.found("hub", "CloudTrailHubRule: has another `Condition`", always)
        for gone, left in (("AlertHubRule", "AlertRule"), ("AlertRule", "AlertHubRule")):
            drop = lambda hub, gone=gone: hub["Resources"].pop(gone)
            self.found("hub", f"{left}: has no twin `{gone}`", drop)
        same_bus = lambda hub: properties(hub, "AlertHubRule").pop("EventBusName")
        self.found("hub", "AlertRule: has no twin `AlertHubRule`", same_bus)

        unheard = both(lambda all: all.append({"source": ["aws.detective"], "detail-type": ["Detective Finding"]}))
        self.found("hub", "AlertHubRule: takes `Detective Finding` of `aws.detective`, which members do not forward", unheard)
        # Of scans, members forward only those that found something.
        wider = both(lambda all: [one.pop("detail", None) for one in all if one["source"] == ["aws.guardduty"]])
        self.found("hub", "AlertHubRule: takes `GuardDuty Malware Protection Object Scan Result` of `aws.guardduty`", wider)
        useless = both(lambda all: [all.remove(one) for one in list(all) if one["source"] == ["aws.macie"]])
        self.found("hub", "Bus: is forwarded `Macie Finding` of `aws.macie`, which no rule on it takes", useless)

    def test_routes(self):
        def scopes(route, *names):
            return lambda hub: properties(hub, route).update(AuthorizationScopes=[{"Ref": name} for name in names])

        def pattern(text):
            return lambda hub: hub["Parameters"]["JwtScopeOfTriggering"].update(AllowedPattern=text)

        self.found("hub", "StartRoute: opens to every token", scopes("StartRoute"))
        self.found("hub", "StartRoute: changes something, and opens to `runs:read`", scopes("StartRoute", "JwtScopeOfReading"))
        self.found("hub", "RetryRoute: opens to the scope", scopes("RetryRoute", "MailFrom"))
        self.found("hub", "DecisionRoute: changes something, and opens to `runs:read`", scopes("DecisionRoute", "JwtScopeOfReading"))
        self.found("hub", "StartRoute: opens to the scope", pattern("^.*$"))
        self.found("hub", "StartRoute: opens to the scope", pattern("^(runs:trigger)?$"))
        self.found("hub", "ShowRoute: opens to the scope `openid`", lambda hub: properties(hub, "ShowRoute").update(AuthorizationScopes=["openid"]))

    def test_what_is_kept(self):
        change = lambda name, **parts: lambda hub: hub["Resources"][name].update(parts)
        self.found("hub", "Table: is protected from deletion", change("Table", DeletionPolicy="RetainExceptOnCreate"))
        self.found("hub", "Key: has another `DeletionPolicy` than `Table`", change("Key", DeletionPolicy="RetainExceptOnCreate"))
        self.found("hub", "Key: has another `UpdateReplacePolicy`", change("Key", UpdateReplacePolicy="Delete"))

    def test_suppressions(self):
        def skip(hub):
            hub["Resources"]["AlertFunction"]["Metadata"]["checkov"]["skip"][0]["comment"] = "no"

        self.found("hub", "AlertFunction: skips `CKV_AWS_117` without a reason", skip)
        quiet = {"cfn-lint": {"config": {"ignore_checks": ["E3001"]}}}
        self.found("hub", "Table: silences cfn-lint", lambda hub: hub["Resources"]["Table"].update(Metadata=quiet))

    def test_what_hub_members_and_organisation_share(self):
        def handed(change):
            return lambda organization: change(properties(organization, "Members")["Parameters"])

        parameters = lambda name, **parts: lambda template: template["Parameters"][name].update(parts)
        self.found("organization", "Members: does not hand", handed(lambda all: all.pop()))
        self.found("organization", "which the member does not know", handed(lambda all: all.append({"ParameterKey": "X", "ParameterValue": ""})))
        self.found("organization", "hands something else on", handed(lambda all: all[0].update(ParameterValue={"Ref": "Forward"})))
        self.found("organization", "ExternalId: has another `AllowedPattern`", parameters("ExternalId", AllowedPattern=".*"))
        self.found("organization", "AllowStorage: has another `Default`", parameters("AllowStorage", Default="true"))
        self.found("organization", "may not make the member's role", lambda organization: properties(organization, "Members").pop("Capabilities"))
        anywhere = lambda organization: organization["Rules"].pop("RolesAreMadeOnce")
        self.found("organization", "HomeRegion: is not held to be one of `Regions`", anywhere)
        self.found("organization", "has another template", lambda organization: properties(organization, "Members").update(TemplateURL="x"))
        self.found("hub", "RemediationRoleName: has another `Default`", parameters("RemediationRoleName", Default="Other"))


if __name__ == "__main__":
    unittest.main()
