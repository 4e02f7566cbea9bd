use serde_json::json;

use super::*;

fn schema() -> JsonObject {
    json!({
        "properties": {
            "deployment_id": {"type": "string"},
            "max_instances": {"type": "integer", "minimum": 1, "maximum": 60},
            "hardware": {"type": "string", "enum": ["AMPERE_48", "ADA_80_PLUS"]},
            "name": {"type": "string", "minLength": 1, "maxLength": 5},
            "ids": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
            "is_enabled": {"type": "boolean"},
            "overrides": {"type": "object"},
        },
        "required": ["deployment_id"],
    })
    .as_object()
    .unwrap()
    .clone()
}

#[track_caller]
fn check_fault(argument: &str, value: Value, expected: &str) {
    let arguments = json!({"deployment_id": "d1", argument: value}).as_object().unwrap().clone();
    let faults = check(&schema(), arguments).unwrap_err();
    assert_eq!(faults.message(), expected);
}

#[track_caller]
fn check_accepted(argument: &str, value: Value, kept: Option<Value>) {
    let arguments = json!({"deployment_id": "d1", argument: value}).as_object().unwrap().clone();
    assert_eq!(check(&schema(), arguments).unwrap().arguments.get(argument), kept.as_ref());
}

#[test]
fn a_misspelt_argument_is_named_with_the_nearest() {
    check_fault(
        "max_instance",
        json!(9),
        "`max_instance` is not known; did you mean `max_instances`?",
    );
    check_fault(
        "deploymentId",
        json!("x"),
        "`deploymentId` is not known; did you mean `deployment_id`?",
    );
    let faults = check(&schema(), json!({"zzz": 1}).as_object().unwrap().clone()).unwrap_err();
    assert!(
        faults.message().contains("this tool takes `deployment_id`, `max_instances`"),
        "{faults:?}"
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let arguments = json!({"max_instances": 0, "is_enabled": "yes"}).as_object().unwrap().clone();
    let faults = check(&schema(), arguments).unwrap_err();
    let named: Vec<_> = faults.0.iter().map(|fault| fault.argument.as_str()).collect();
    assert_eq!(named, ["max_instances", "is_enabled", "deployment_id"]);
}

#[test]
fn a_wrong_type_or_range_names_the_rule() {
    for value in [
        json!(0),
        json!(61),
        json!(1.5),
        json!("three"),
        json!("3 or 4"),
        json!("61"),
        json!("3.5"),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
    ] {
        check_fault("max_instances", value, "`max_instances` must be a whole number from 1 to 60");
    }
    check_fault("hardware", json!("RTX_9090"), "`hardware` must be one of AMPERE_48, ADA_80_PLUS");
    check_fault("hardware", json!(["AMPERE_48"]), "`hardware` must be text, not a list");
    check_fault("name", json!("sixsix"), "`name` must be at most 5 characters");
    check_fault("ids", json!(["a", 5]), "`ids` entry 1 must be text, not a number");
    check_fault("ids", json!(["a", "b", "c"]), "`ids` must have at most 2 entries");
    check_fault("is_enabled", json!("yes"), "`is_enabled` must be true or false");
    check_fault("overrides", json!("a cat"), "`overrides` must be an object, not text");
    check_fault("overrides", json!("[{}]"), "`overrides` must be an object, not text");
    check_fault("overrides", json!(r#"{"a":1,"a":2}"#), "`overrides` must be an object, not text");
    check_fault("overrides", json!(r#"{"a":NaN}"#), "`overrides` must be an object, not text");
    check_fault("ids", json!("d1"), "`ids` must be a list, not text");
}

#[test]
fn a_fault_never_repeats_the_value() {
    let arguments = json!({"max_instances": "x".repeat(3 << 20)}).as_object().unwrap().clone();
    assert!(check(&schema(), arguments).unwrap_err().message().len() < 200);
    let arguments = json!({"y".repeat(3 << 20): 1}).as_object().unwrap().clone();
    assert!(check(&schema(), arguments).unwrap_err().message().len() < 400);
}

#[test]
fn an_answer_is_not_many_times_its_question() {
    let arguments: JsonObject = (0..100_000).map(|n| (format!("k{n}"), json!(1))).collect();
    let faults = check(&schema(), arguments).unwrap_err();
    assert!(faults.message().len() < 3000, "{} bytes", faults.message().len());
    assert!(faults.message().contains("99992 more"), "{}", faults.message());
}

#[test]
fn what_cannot_be_seen_in_a_name_is_made_visible() {
    let arguments = json!({"deployment_id\u{200b}": "d1"}).as_object().unwrap().clone();
    let faults = check(&schema(), arguments).unwrap_err();
    assert_eq!(faults.0[0].argument, "deployment_id\\u{200b}");
}

#[test]
fn null_is_as_good_as_left_out_and_a_whole_float_as_an_integer() {
    check_accepted("max_instances", Value::Null, None);
    check_accepted("max_instances", json!(3.0), Some(json!(3)));
    let faults =
        check(&schema(), json!({"deployment_id": null}).as_object().unwrap().clone()).unwrap_err();
    assert_eq!(faults.message(), "`deployment_id` is required");
}

#[test]
fn a_text_that_spells_the_wanted_type_is_read_as_it_and_noted() {
    for (argument, text, read) in [
        ("max_instances", "45", json!(45)),
        ("max_instances", " 45 ", json!(45)),
        ("max_instances", "45.0", json!(45)),
        ("is_enabled", "true", json!(true)),
        ("is_enabled", "False", json!(false)),
        ("ids", r#"["d1", "d2"]"#, json!(["d1", "d2"])),
        (
            "overrides",
            r#"{"6": {"inputs": {"seed": 18446744073709551615}}}"#,
            json!({"6": {"inputs": {"seed": u64::MAX}}}),
        ),
        ("overrides", "\n{\"6\": {}}\n", json!({"6": {}})),
    ] {
        let arguments = json!({"deployment_id": "d1", argument: text});
        let checked = check(&schema(), arguments.as_object().unwrap().clone()).unwrap();
        assert_eq!(checked.arguments[argument], read, "{text}");
        assert_eq!(checked.read_from_text, [argument]);
        assert!(checked.note().is_some_and(|note| note.contains(argument)));
    }
}

#[test]
fn a_text_for_a_text_stays_a_text_whatever_it_spells() {
    for text in ["45", "true", "{}", "[1]"] {
        let arguments = json!({"deployment_id": text, "name": text});
        let checked = check(&schema(), arguments.as_object().unwrap().clone()).unwrap();
        assert_eq!((&checked.arguments["name"], checked.note()), (&json!(text), None));
    }
}

#[test]
fn what_is_read_from_text_keeps_every_rule_of_its_type() {
    check_fault(
        "overrides",
        json!(r#"{"3":{"inputs":{"seed":18446744073709551616}}}"#),
        "`overrides` has a number beyond 64 bits, which can't be passed on digit by digit",
    );
    check_fault("ids", json!(r#"["a","b","c"]"#), "`ids` must have at most 2 entries");
}

#[test]
fn an_empty_optional_value_is_as_good_as_left_out_and_a_required_one_is_not() {
    for (argument, empty) in [
        ("name", json!("")),
        ("name", json!("  ")),
        ("hardware", json!("")),
        ("max_instances", json!("")),
        ("is_enabled", json!("null")),
        ("ids", json!([])),
        ("ids", json!("[]")),
        ("overrides", json!({})),
        ("overrides", json!("{}")),
    ] {
        check_accepted(argument, empty, None);
    }
    let empty = json!({"deployment_id": ""}).as_object().unwrap().clone();
    assert_eq!(check(&schema(), empty).unwrap().arguments["deployment_id"], "");
}

#[test]
fn the_words_for_nothing_are_no_value_of_an_optional_text() {
    for word in ["null", "NULL", "undefined", "None", "none", "nil", " null ", "\"null\""] {
        let arguments = json!({"deployment_id": "d1", "name": word});
        let faults = check(&schema(), arguments.as_object().unwrap().clone()).unwrap_err();
        assert_eq!(faults.0[0].argument, "name", "{word}");
        assert!(faults.0[0].rule.contains("leave the argument out"), "{word}: {faults:?}");
    }
    check_accepted("name", json!("nulls"), Some(json!("nulls")));
}

#[test]
fn names_that_clients_add_by_themselves_are_dropped() {
    let added = ADDED_BY_CLIENTS.iter().map(|name| ((*name).to_owned(), json!({"any": 1})));
    let own = [("deployment_id".to_owned(), json!("d1"))];
    let checked = check(&schema(), added.chain(own).collect()).unwrap();
    assert_eq!(checked.arguments.keys().collect::<Vec<_>>(), ["deployment_id"]);
    assert_eq!(checked.note(), None);
}

#[test]
fn no_name_that_is_dropped_is_an_argument_of_a_tool() {
    for tool in crate::schema::published::tools() {
        let properties = tool.input_schema["properties"].as_object().unwrap();
        for name in ADDED_BY_CLIENTS {
            assert!(!properties.contains_key(name), "{}: {name}", tool.name);
        }
    }
}

#[test]
fn a_number_that_lost_digits_is_refused_and_the_largest_seed_is_not() {
    let seed = |text: &str| {
        serde_json::from_str::<Value>(&format!(r#"{{"3":{{"inputs":{{"seed":{text}}}}}}}"#))
            .unwrap()
    };
    check_accepted("overrides", seed("-9223372036854775808"), Some(seed("-9223372036854775808")));
    check_fault(
        "overrides",
        seed("-9223372036854775809"),
        "`overrides` has a number beyond 64 bits, which can't be passed on digit by digit",
    );
    check_accepted("overrides", seed("18446744073709551615"), Some(seed("18446744073709551615")));
    check_fault(
        "overrides",
        seed("18446744073709551616"),
        "`overrides` has a number beyond 64 bits, which can't be passed on digit by digit",
    );
}

#[test]
fn unknown_names_are_repeated_in_part_and_those_known_listed_once() {
    // Nothing like a known one, and eight times as long once it can be seen.
    let names = (0..9).map(|n| (format!("{n}{}", "\u{200b}".repeat(60)), Value::from(1)));
    let faults = check(&schema(), names.collect()).unwrap_err();
    assert_eq!(faults.0.iter().filter(|fault| fault.rule.contains("this tool takes")).count(), 1);
    assert!(faults.0.iter().all(|fault| fault.argument.len() <= 64));
}
