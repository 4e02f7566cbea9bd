//! Identifiers, validated before they become part of a URL.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest id that is accepted, in bytes.
#[doc(hidden)]
pub const MAX_ID_BYTES: usize = 128;

/// Text that is not a valid id. The message names the id and the rule, never the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {MAX_ID_BYTES} characters of A-Z, a-z, 0-9, '-' and '_'")]
pub struct InvalidId {
    what: &'static str,
}

impl InvalidId {
    /// The argument that was wrong, such as `deployment_id`.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }
}

/// Whether `text` follows the grammar of ids, `[A-Za-z0-9_-]{1,128}`.
///
/// RunComfy's ids are UUIDs today and opaque by its documentation; this grammar takes every UUID and
/// nothing that could change a URL.
#[doc(hidden)]
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks `text` and takes it as an id.
            ///
            /// # Errors
            /// [`InvalidId`] if it is empty, longer than 128 bytes or has any character but
            /// `A-Z a-z 0-9 - _`.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if is_id(&text) { Ok(Self(text.into())) } else { Err(InvalidId { what: $what }) }
            }

            /// The id as text, exactly as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// Names a deployment: a workflow with the hardware and scaling it runs on.
    DeploymentId, "deployment_id"
}
id! {
    /// Names a live machine of a deployment; valid only while that machine runs.
    InstanceId, "instance_id"
}
id! {
    /// Names one submitted run.
    RequestId, "request_id"
}
id! {
    /// Names a workflow saved in RunComfy's cloud.
    WorkflowId, "workflow_id"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, accepted: bool) {
        assert_eq!(DeploymentId::new(text).is_ok(), accepted, "{text:?}");
    }

    #[test]
    fn an_id_is_letters_digits_dash_and_underscore() {
        check("a1b2c3d4-0000-4000-8000-000000000001", true);
        check("A1B2C3D4-0000-4000-8000-00000000000F", true);
        check("d1", true);
        check("dep_1", true);
        check(&"a".repeat(128), true);
        for hostile in [
            "",
            " ",
            " d1",
            "d1 ",
            ".",
            "..",
            "%2e%2e",
            "../../v2/deployments/x",
            "a/b",
            "a\\..\\b",
            "x?y=1",
            "x#f",
            "x;y",
            "x&y",
            "a\nb",
            "a\tb",
            "a\rb",
            "a\0b",
            "a\u{7f}b",
            "//evil.com",
            "https://evil.com",
            "@evil.com",
            "．．",
            "dеp",
            "{a}",
            "urn:uuid:a",
        ] {
            check(hostile, false);
        }
        check(&"a".repeat(129), false);
        check(&"a".repeat(1 << 20), false);
    }

    #[test]
    fn an_invalid_id_is_named_but_not_repeated() {
        let error = RequestId::new("../".repeat(1000)).unwrap_err();
        assert_eq!(error.what(), "request_id");
        assert!(!error.to_string().contains("../"));
        assert!(error.to_string().len() < 120);
    }

    proptest! {
        #[test]
        fn what_is_accepted_needs_no_encoding_in_a_url(text in ".{0,140}") {
            if let Ok(id) = DeploymentId::new(text.clone()) {
                let url = url::Url::parse(&format!("https://host/a/{id}/b")).unwrap();
                let segments: Vec<_> = url.path_segments().unwrap().collect();
                prop_assert_eq!(segments, ["a", text.as_str(), "b"]);
            }
        }
    }
}
