use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::*;

fn context() -> Context {
    Context {
        region: "eu-test-1".to_owned(),
        account: "000000000000".to_owned(),
        stack: "halfpenny".to_owned(),
        queue_url_base: "http://127.0.0.1:9002".to_owned(),
    }
}

fn overrides(text: &str) -> BTreeMap<String, String> {
    let mut overrides = parse_overrides(text).unwrap();
    overrides.entry("RootTokenSha256".to_owned()).or_insert_with(|| "0".repeat(64));
    overrides
}

fn deployed(text: &str) -> Template {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    Template::load(&path, &overrides(text), &context()).unwrap()
}

fn function<'a>(template: &'a Template, logical_id: &str) -> &'a Function {
    template.functions.iter().find(|f| f.logical_id == logical_id).unwrap()
}

fn refused(text: &str) -> String {
    Template::parse(text, &BTreeMap::new(), &context()).unwrap_err().to_string()
}

#[test]
fn the_deployed_template_has_the_eleven_functions() {
    let template = deployed("");
    let mut read: Vec<_> = template
        .functions
        .iter()
        .map(|f| (f.logical_id.as_str(), f.binary.as_str(), f.memory_mb, f.timeout.as_secs()))
        .collect();
    read.sort_unstable();
    assert_eq!(
        read,
        [
            ("Authorize", "authorize", 128, 10),
            ("Config", "config", 128, 30),
            ("Deliver", "deliver", 256, 900),
            ("Messages", "messages", 512, 30),
            ("Notify", "notify", 128, 60),
            ("Pull", "pull", 256, 900),
            ("PullWorker", "pull-worker", 128, 900),
            ("Schedule", "schedule", 128, 60),
            ("Send", "send", 256, 900),
            ("TestEmail", "test-email", 128, 30),
            ("Validate", "validate", 128, 30),
        ]
    );
    assert!(template.functions.iter().all(|f| f.name == f.binary));
}

#[test]
fn every_function_gets_the_whole_environment() {
    let template = deployed("LeaseSeconds=2 AllowNets=127.0.0.0/8,::1/128");
    for function in &template.functions {
        let variable = |name: &str| function.environment.get(name).map(String::as_str);
        assert_eq!(variable("HALFPENNY_TABLE"), Some("halfpenny-table"));
        assert_eq!(variable("HALFPENNY_BUCKET"), Some("halfpenny-bucket"));
        assert_eq!(
            variable("HALFPENNY_DELIVER_QUEUE"),
            Some("http://127.0.0.1:9002/000000000000/halfpenny-deliverqueue")
        );
        assert_eq!(variable("HALFPENNY_PULL_QUEUE"), Some("http://127.0.0.1:9002/000000000000/halfpenny-pullqueue"));
        assert_eq!(variable("HALFPENNY_LEASE_SECONDS"), Some("2"));
        assert_eq!(variable("HALFPENNY_ALLOW_NETS"), Some("127.0.0.0/8,::1/128"));
        assert_eq!(variable("HALFPENNY_CA_FILE"), Some(""));
        assert_eq!(variable("HALFPENNY_BACKOFF_SECONDS"), Some("60,300,900,3600,10800,21600"));
        assert_eq!(variable("HALFPENNY_LOGIN_PAUSE_SECONDS"), Some("60,120,240,480,3600,7200,14400,28800,57600,86400"));
        assert_eq!(variable("HALFPENNY_EVENT_BUS"), Some("halfpenny-events"));
        assert_eq!(function.environment.len(), 33);
    }
}

/// All of them, by path.
const DEPLOYED_ROUTES: [&str; 95] = [
    "ANY $default -> config",
    "ANY /api/core/mail/account/{account} -> config",
    "ANY /api/core/mail/files/{uuid} -> messages",
    "ANY /api/core/mail/mail -> messages",
    "ANY /api/core/mail/mail/{proxy+} -> messages",
    "ANY /api/core/mail/mail_set -> send",
    "ANY /api/core/mail/pull -> pull",
    "ANY /api/core/mail/pull/{account} -> pull",
    "ANY /api/core/mail/push -> send",
    "ANY /api/core/mail/push/{account} -> send",
    "ANY /api/core/mail/send/{account} -> send",
    "ANY /api/core/mail/sync -> pull",
    "ANY /api/core/mail/sync/{account} -> pull",
    "ANY /api/v1/Agents/EMail/SendEMails -> send",
    "ANY /api/v1/transports/email-config -> config",
    "ANY /api/v1/transports/email-config/actions/send-test-email -> test-email",
    "ANY /api/v1/transports/email-config/actions/validate -> validate",
    "ANY /api/v1/transports/email-config/actions/verify-connection -> validate",
    "ANY /docs -> config open",
    "ANY /emailengine/v1/account -> config",
    "ANY /emailengine/v1/account/{account} -> config",
    "ANY /emailengine/v1/account/{account}/attachment/{attachment} -> messages",
    "ANY /emailengine/v1/account/{account}/mailboxes -> messages",
    "ANY /emailengine/v1/account/{account}/message/{proxy+} -> messages",
    "ANY /emailengine/v1/account/{account}/messages -> messages",
    "ANY /emailengine/v1/account/{account}/search -> messages",
    "ANY /emailengine/v1/account/{account}/submit -> send",
    "ANY /emailengine/v1/account/{account}/text/{id} -> messages",
    "ANY /emailengine/v1/accounts -> config",
    "ANY /emailengine/v1/autoconfig -> validate",
    "ANY /emailengine/v1/outbox -> send",
    "ANY /emailengine/v1/outbox/{id} -> send",
    "ANY /emailengine/v1/settings -> config",
    "ANY /emailengine/v1/verifyAccount -> validate",
    "ANY /f/{token} -> messages open",
    "ANY /health -> config open",
    "ANY /openapi.json -> config open",
    "ANY /send-email -> send",
    "ANY /send-test-email -> test-email",
    "ANY /v1/account -> config",
    "ANY /v1/account/{account} -> config",
    "ANY /v1/account/{account}/attachment/{attachment} -> messages",
    "ANY /v1/account/{account}/mailboxes -> messages",
    "ANY /v1/account/{account}/message/{proxy+} -> messages",
    "ANY /v1/account/{account}/messages -> messages",
    "ANY /v1/account/{account}/search -> messages",
    "ANY /v1/account/{account}/submit -> send",
    "ANY /v1/account/{account}/text/{id} -> messages",
    "ANY /v1/accounts -> config",
    "ANY /v1/accounts/{account} -> config",
    "ANY /v1/accounts/{account}/acknowledge -> pull",
    "ANY /v1/accounts/{account}/await -> messages",
    "ANY /v1/accounts/{account}/diagnose -> validate",
    "ANY /v1/accounts/{account}/folders -> messages",
    "ANY /v1/accounts/{account}/history -> config",
    "ANY /v1/accounts/{account}/history/{proxy+} -> config",
    "ANY /v1/accounts/{account}/messages -> messages",
    "ANY /v1/accounts/{account}/messages/{proxy+} -> messages",
    "ANY /v1/accounts/{account}/pull -> pull",
    "ANY /v1/accounts/{account}/push -> pull",
    "ANY /v1/accounts/{account}/reparse -> pull",
    "ANY /v1/accounts/{account}/rewind -> pull",
    "ANY /v1/accounts/{account}/sync -> pull",
    "ANY /v1/accounts/{account}/test-email -> test-email",
    "ANY /v1/accounts/{account}/threads/{thread} -> messages",
    "ANY /v1/accounts/{account}/verify -> validate",
    "ANY /v1/autoconfig -> validate",
    "ANY /v1/diagnose -> validate",
    "ANY /v1/files -> send",
    "ANY /v1/files/{id} -> messages",
    "ANY /v1/messages/batch -> send",
    "ANY /v1/outbox -> send",
    "ANY /v1/outbox/{proxy+} -> send",
    "ANY /v1/pii-resolver -> send",
    "ANY /v1/pii-tokens -> send",
    "ANY /v1/pii-tokens/{token} -> send",
    "ANY /v1/pull -> pull",
    "ANY /v1/push -> pull",
    "ANY /v1/risks -> validate",
    "ANY /v1/settings -> config",
    "ANY /v1/suppressions -> send",
    "ANY /v1/suppressions/{proxy+} -> send",
    "ANY /v1/sync -> pull",
    "ANY /v1/templates -> send",
    "ANY /v1/templates/{template} -> send",
    "ANY /v1/templates/{template}/render -> send",
    "ANY /v1/tokens -> config",
    "ANY /v1/tokens/{proxy+} -> config",
    "ANY /v1/validate-credentials -> validate",
    "ANY /v1/verifyAccount -> validate",
    "ANY /v1/webhooks -> config",
    "ANY /v1/webhooks/{proxy+} -> config",
    "ANY /validate-credentials -> validate",
    "ANY /{installation}/api/v1/Agents/EMail/SendEMails -> send",
    "POST /v1/accounts/{account}/messages -> send",
];

#[test]
fn the_deployed_routes_are_these() {
    let template = deployed("");
    let mut routes: Vec<String> = template
        .functions
        .iter()
        .flat_map(|f| {
            f.routes.iter().map(|r| {
                let open = if r.authorized { "" } else { " open" };
                format!("{} {} -> {}{open}", r.method, r.path, f.name)
            })
        })
        .collect();
    routes.sort_unstable();
    assert_eq!(routes, DEPLOYED_ROUTES);
    assert_eq!(
        template.authorizer,
        Some(Authorizer {
            function: "authorize".to_owned(),
            headers: vec!["authorization".to_owned()],
            ttl: Duration::from_secs(300),
        })
    );
}

#[test]
fn the_deployed_queues_feed_the_workers() {
    let template = deployed("VisibilitySeconds=3 WorkerConcurrency=2");
    let queue = |name: &str| template.queues.iter().find(|q| q.name == name).unwrap();
    for (queue_name, dead_letters, worker) in [
        ("halfpenny-deliverqueue", "halfpenny-deliverdeadletters", "Deliver"),
        ("halfpenny-pullqueue", "halfpenny-pulldeadletters", "PullWorker"),
    ] {
        assert_eq!(
            queue(queue_name),
            &Queue {
                name: queue_name.to_owned(),
                visibility_seconds: 3,
                delay_seconds: 0,
                retention_seconds: 345_600,
                redrive: Some(Redrive { target: dead_letters.to_owned(), max_receive_count: 5 }),
            }
        );
        assert_eq!(queue(dead_letters).retention_seconds, 1_209_600);
        assert_eq!(queue(dead_letters).redrive, None);
        assert_eq!(
            function(&template, worker).queues,
            [QueueTrigger {
                queue: queue_name.to_owned(),
                batch_size: 1,
                window: Duration::ZERO,
                partial_failures: true,
                max_concurrency: Some(2),
                enabled: true,
            }]
        );
    }
}

#[test]
fn the_deployed_stream_and_queue_feed_notify() {
    let template = deployed("WebhookVisibilitySeconds=3");
    let notify = function(&template, "Notify");
    let [stream] = notify.streams.as_slice() else { panic!("one stream") };
    assert_eq!((stream.name.as_str(), stream.table.as_str(), stream.batch_size), ("Changes", "halfpenny-table", 100));
    assert!(stream.partial_failures && stream.bisect && stream.enabled);
    assert_eq!(stream.on_failure.as_deref(), Some("halfpenny-notifydeadletters"));
    let passes = |pk: &str, sk: &str| {
        let record = json!({"dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}}});
        stream.filters.iter().any(|filter| filter.matches(Some(&record)))
    };
    for (pk, sk, expected) in [
        ("T#a#M#1", "M", true),
        ("T#a#S", "box", true),
        ("T#a#A#box", "L#1", true),
        ("T#a#M#1", "B#1", false),
        ("T#a#A#box", "LEASE", false),
        ("T#a#W#wh_1", "1-evt_1", false),
    ] {
        assert_eq!(passes(pk, sk), expected, "{pk} {sk}");
    }
    let [work] = notify.queues.as_slice() else { panic!("one queue") };
    assert_eq!((work.queue.as_str(), work.batch_size), ("halfpenny-webhookqueue", 10));
    assert_eq!(template.buses, ["halfpenny-events"]);
    let arn = "arn:aws:dynamodb:eu-test-1:000000000000:table/halfpenny-table/stream/local";
    for action in ["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"] {
        let allows = |s: &Statement| s.actions.iter().any(|a| a == action) && s.resources.contains(&arn.to_owned());
        assert!(notify.statements.iter().any(allows), "{action}");
    }
}

#[test]
fn the_deployed_schedule_follows_its_parameter() {
    let template = deployed("TickRate=\"rate(1 second)\"");
    assert_eq!(
        function(&template, "Schedule").schedules,
        [ScheduleTrigger {
            name: "Tick".to_owned(),
            expression: "rate(1 second)".to_owned(),
            input: None,
            enabled: true,
        }]
    );
}

#[test]
fn the_deployed_table_is_handed_on_as_it_is() {
    let template = deployed("");
    let [table] = template.tables.as_slice() else { panic!("one table") };
    assert_eq!(table["TableName"], "halfpenny-table");
    assert_eq!(table["StreamSpecification"], json!({"StreamViewType": "NEW_AND_OLD_IMAGES"}));
    assert_eq!(table["TimeToLiveSpecification"], json!({"AttributeName": "ttl", "Enabled": true}));
    assert_eq!(table["GlobalSecondaryIndexes"][1]["IndexName"], "by-due");
    assert_eq!(template.buckets, ["halfpenny-bucket"]);
}

#[test]
fn parameters_are_checked() {
    let load = |text: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        Template::load(&path, &parse_overrides(text).unwrap(), &context()).unwrap_err().to_string()
    };
    assert_eq!(load("Lease=2"), "template parameters: the template has no parameter Lease");
    assert_eq!(load(""), "Parameters.RootTokenSha256: it has no default and no value was given");
    assert_eq!(load("RootTokenSha256=0 LeaseSeconds=soon"), "Parameters.LeaseSeconds: not a number");
}

#[test]
fn overrides_may_be_quoted() {
    let read = parse_overrides(" A=1  TickRate=\"rate(1 second)\" B=\"x\\\"y\" C= D=a=b ").unwrap();
    let expected = [("A", "1"), ("B", "x\"y"), ("C", ""), ("D", "a=b"), ("TickRate", "rate(1 second)")];
    assert_eq!(read, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    assert!(parse_overrides("").unwrap().is_empty());
    for wrong in ["A", "A=1 B", "=1", "A=\"open", "A B=1"] {
        let error = parse_overrides(wrong).unwrap_err();
        assert!(matches!(error, TemplateError::Parameters(_)), "{wrong}: {error}");
    }
}

#[test]
fn globals_reach_the_functions() {
    let template = Template::parse(
        "Globals: {Function: {Timeout: 30, Environment: {Variables: {A: g, B: g}}}}\n\
         Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Metadata: {BuildProperties: {Binary: f}}\n    \
         Properties: {MemorySize: '512', Environment: {Variables: {B: 7}}}\n",
        &BTreeMap::new(),
        &context(),
    )
    .unwrap();
    let f = function(&template, "F");
    assert_eq!((f.timeout.as_secs(), f.memory_mb), (30, 512));
    assert_eq!(f.environment, [("A".to_owned(), "g".to_owned()), ("B".to_owned(), "7".to_owned())].into());
    assert_eq!(template.authorizer, None);
}

#[test]
fn sam_has_defaults_of_its_own() {
    let template = Template::parse(
        "Resources: {F: {Type: 'AWS::Serverless::Function', Metadata: {BuildProperties: {Binary: f}}}, \
         Q: {Type: 'AWS::SQS::Queue'}}",
        &BTreeMap::new(),
        &context(),
    )
    .unwrap();
    let f = function(&template, "F");
    assert_eq!((f.timeout.as_secs(), f.memory_mb), (3, 128));
    assert_eq!(template.queues[0].visibility_seconds, 30);
}

#[test]
fn what_has_no_local_meaning_is_refused_with_its_place() {
    let function = |properties: &str| {
        format!(
            "Resources: {{F: {{Type: 'AWS::Serverless::Function', Metadata: {{BuildProperties: {{Binary: f}}}}, \
             Properties: {properties}}}}}"
        )
    };
    for (text, message) in [
        (function("{Timeout: !If [a, 1, 2]}"), "Resources.F.Properties.Timeout: Fn::If has no local meaning"),
        (
            function("{Environment: {Variables: {A: !ImportValue x}}}"),
            "Resources.F.Properties.Environment.Variables.A: Fn::ImportValue has no local meaning",
        ),
        (
            function("{Events: {E: {Type: Kinesis, Properties: {}}}}"),
            "Resources.F.Properties.Events.E: events of type Kinesis have no local meaning",
        ),
        (
            function("{Events: {E: {Type: HttpApi, Properties: {Path: /x, Method: GET, Auth: {Authorizer: Other}}}}}"),
            "Resources.F.Properties.Events.E: Other is not the default authorizer",
        ),
        (
            "Resources: {A: {Type: 'AWS::Serverless::Api'}}".to_owned(),
            "Resources.A: AWS::Serverless::Api has no local meaning",
        ),
        (
            "Resources: {Q: {Type: 'AWS::SQS::Queue', Condition: C}}".to_owned(),
            "Resources.Q.Condition: conditions have no local meaning",
        ),
        (
            "Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {FifoQueue: true}}}".to_owned(),
            "Resources.Q.Properties.FifoQueue: FIFO queues have no local meaning",
        ),
        (
            "Resources: {F: {Type: 'AWS::Serverless::Function'}}".to_owned(),
            "Resources.F: Metadata.BuildProperties.Binary is missing",
        ),
        ("Globals: {Api: {}}".to_owned(), "Globals.Api: it has no local meaning"),
        (
            function_with("Policies: [DynamoDBReadPolicy: {TableName: t}]"),
            "Resources.F.Properties.Policies.0: only statements and !Ref of a ManagedPolicy have a local meaning",
        ),
        (
            function_with("Policies: [!Ref Elsewhere]"),
            "Resources.F.Properties.Policies.0: there is no AWS::IAM::ManagedPolicy Elsewhere",
        ),
        (
            function_with("Policies: [Statement: {Effect: Allow, Action: 'a:b', Resource: name}]"),
            "Resources.F.Properties.Policies.0: the resource name is no ARN",
        ),
        (
            function_with("Policies: [Statement: {Effect: Allow, Action: 'a:b', Resource: !GetAtt T.Arn}]"),
            "Resources.F.Properties.Policies.0.Statement.Resource: there is no resource T",
        ),
        (function_with("Policies: [], Role: !GetAtt R.Arn"), "Resources.F: Policies grant nothing beside a Role"),
        (
            function_with("Role: 'arn:aws:iam::0:role/other'"),
            "Resources.F.Properties.Role: only !GetAtt Role.Arn has a local meaning",
        ),
    ] {
        assert_eq!(refused(&text), message);
    }
}

#[test]
fn an_event_property_that_would_be_ignored_is_refused() {
    let message = refused(
        "Resources: {F: {Type: 'AWS::Serverless::Function', Metadata: {BuildProperties: {Binary: f}}, Properties: \
         {Events: {E: {Type: SQS, Properties: {Queue: 'arn:q', FilterCriteria: {}}}}}}}",
    );
    assert!(message.starts_with("Resources.F.Properties.Events.E: unknown field `FilterCriteria`"), "{message}");
}

fn function_with(properties: &str) -> String {
    format!(
        "Resources: {{F: {{Type: 'AWS::Serverless::Function', Metadata: {{BuildProperties: {{Binary: f}}}}, \
         Properties: {{{properties}}}}}}}"
    )
}

#[test]
fn a_statement_that_does_more_than_allow_is_refused() {
    for (more, field) in [("Effect: Deny", "Deny"), ("Effect: Allow, Condition: {}", "Condition")] {
        let statement = format!("Policies: [Statement: {{{more}, Action: 'a:b', Resource: '*'}}]");
        let message = refused(&function_with(&statement));
        assert!(message.starts_with("Resources.F.Properties.Policies.0: "), "{message}");
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn a_function_may_what_its_policies_or_those_of_its_role_allow() {
    let policies = "\
Resources:
  T: {Type: 'AWS::DynamoDB::Table'}
  Read:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Description: d
      PolicyDocument:
        Version: '2012-10-17'
        Statement: [{Effect: Allow, Action: ['a:1', 'a:2'], Resource: !GetAtt T.Arn}]
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      ManagedPolicyArns: [!Ref Read]
      Policies:
        - PolicyName: own
          PolicyDocument: {Statement: {Sid: S, Effect: Allow, Action: 'b:1', Resource: ['*', !Sub '${T.Arn}/*']}}
  A:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: a}}
    Properties: {Policies: [!Ref Read, Statement: [{Effect: Allow, Action: 'c:1', Resource: '*'}]]}
  B:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: b}}
    Properties: {Role: !GetAtt R.Arn}
  C: {Type: AWS::Serverless::Function, Metadata: {BuildProperties: {Binary: c}}}
";
    let template = Template::parse(policies, &BTreeMap::new(), &context()).unwrap();
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let statement =
        |actions: &[&str], resources: &[&str]| Statement { actions: texts(actions), resources: texts(resources) };
    let arn = "arn:aws:dynamodb:eu-test-1:000000000000:table/halfpenny-t";
    let (read, below) = (statement(&["a:1", "a:2"], &[arn]), format!("{arn}/*"));
    assert_eq!(function(&template, "A").statements, [read.clone(), statement(&["c:1"], &["*"])]);
    assert_eq!(function(&template, "B").statements, [read, statement(&["b:1"], &["*", &below])]);
    assert_eq!(function(&template, "C").statements, []);
}

/// What Lambda asks of a role before it polls a queue for the function; nothing local would miss it.
#[test]
fn the_deployed_workers_may_receive_from_their_queues() {
    let template = deployed("");
    for worker in ["Deliver", "PullWorker", "Notify"] {
        let function = function(&template, worker);
        let queue = format!("arn:aws:sqs:eu-test-1:000000000000:{}", function.queues[0].queue);
        for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"] {
            let allows = |s: &Statement| s.actions.iter().any(|a| a == action) && s.resources.contains(&queue);
            assert!(function.statements.iter().any(allows), "{worker}: {action}");
        }
    }
}
