//! Deployments: the service's description of one, and the requests that list or change them.

mod payload;
mod requests;

use std::marker::PhantomData;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    id::DeploymentId,
    json::{Fields, NonFinite, RawJson},
};

pub use self::{
    payload::Payload,
    requests::{
        CreateDeployment, DEFAULT_HARDWARE, DeletedDeployment, HARDWARE, Include, ListDeployments,
        UpdateDeployment, UpdatedDeployment,
    },
};

/// A deployment as the service describes it.
///
/// Every field but the id may be missing, values that are not known yet are kept as they came, and
/// fields that this type does not name, or that came with another type, are in [`extra`](Self::extra).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its name, as people know it.
    pub name: Option<String>,
    /// The workflow that it runs.
    pub workflow_id: Option<String>,
    /// Which version of the workflow, such as `v1`.
    pub workflow_version: Option<String>,
    /// The GPU it runs on, one SKU such as `AMPERE_48`. A list, as the service sends it.
    pub hardware: Option<Vec<String>>,
    /// How many instances stay up, and are billed, with nothing to do.
    pub min_instances: Option<u64>,
    /// How many instances may run at once.
    pub max_instances: Option<u64>,
    /// Pending requests per instance before another instance starts.
    pub queue_size: Option<u64>,
    /// How long an idle instance stays up, and is billed, in seconds.
    pub keep_warm_duration_in_seconds: Option<u64>,
    /// What it is doing. The only documented value is `standby`; the set is open.
    pub status: Option<String>,
    /// `false` while it is paused.
    pub is_enabled: Option<bool>,
    /// When it was created, as the service wrote it.
    pub created_at: Option<String>,
    /// When it was last changed, as the service wrote it.
    pub updated_at: Option<String>,
    /// Its workflow; present where it was asked for with [`Include::payload`](Include::payload).
    pub payload: Option<Payload>,
    /// Its documentation in Markdown; present where it was asked for with [`Include::readme`](Include::readme).
    pub readme: Option<String>,
    /// Every other field of the response.
    pub extra: Map<String, Value>,
    /// Where the response had numbers that JSON does not have; they are null in the other fields.
    pub non_finite: Option<NonFinite>,
}

impl Deployment {
    /// A deployment with an id and no other field.
    #[must_use]
    pub fn new(id: DeploymentId) -> Self {
        Self::from_fields(id, Fields(Map::new()), None)
    }

    fn from_fields(id: DeploymentId, mut fields: Fields, payload: Option<Payload>) -> Self {
        Self {
            id,
            name: fields.string("name"),
            workflow_id: fields.string("workflow_id"),
            workflow_version: fields.string("workflow_version"),
            hardware: fields.strings("hardware"),
            min_instances: fields.unsigned("min_instances"),
            max_instances: fields.unsigned("max_instances"),
            queue_size: fields.unsigned("queue_size"),
            keep_warm_duration_in_seconds: fields.unsigned("keep_warm_duration_in_seconds"),
            status: fields.string("status"),
            is_enabled: fields.boolean("is_enabled"),
            created_at: fields.string("created_at"),
            updated_at: fields.string("updated_at"),
            payload,
            readme: fields.string("readme"),
            extra: fields.0,
            non_finite: None,
        }
    }
}

impl<'de> Deserialize<'de> for Deployment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = DecodedDeployment::<RawJson>::deserialize(deserializer)?;
        read.deployment(|json| json)
            .ok_or_else(|| D::Error::custom("a deployment without a usable id"))
    }
}

/// A deployment as it is read, its payload as JSON text of type `J`.
pub(crate) struct DecodedDeployment<J> {
    fields: Fields,
    payload: Option<J>,
}

impl<J> DecodedDeployment<J> {
    /// With its payload kept as `keep` has it; `None` where it has no usable id.
    pub(crate) fn deployment(mut self, keep: impl FnOnce(J) -> RawJson) -> Option<Deployment> {
        let id = self.fields.parsed("id", |text| DeploymentId::new(text).ok())?;
        let payload = self.payload.map(|json| Payload::from(keep(json)));
        Some(Deployment::from_fields(id, self.fields, payload))
    }
}

/// JSON text, here or elsewhere.
pub(crate) trait JsonText {
    fn text(&self) -> &str;
}

impl JsonText for RawJson {
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl JsonText for &RawValue {
    fn text(&self) -> &str {
        self.get()
    }
}

impl<'de, J: JsonText + Deserialize<'de>> Deserialize<'de> for DecodedDeployment<J> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DeploymentVisitor<J>(PhantomData<J>);

        impl<'de, J: JsonText + Deserialize<'de>> Visitor<'de> for DeploymentVisitor<J> {
            type Value = DecodedDeployment<J>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a deployment")
            }

            // By hand, so that the payload stays text: it is most of the response's bytes.
            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<DecodedDeployment<J>, A::Error> {
                let mut fields = Fields(Map::new());
                let mut payload = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "payload" {
                        let json: J = map.next_value()?;
                        // Of a key that comes twice, the last counts.
                        fields.0.shift_remove(&key);
                        payload = None;
                        if json.text() == "null" {
                            fields.0.insert(key, Value::Null);
                        } else {
                            payload = Some(json);
                        }
                    } else {
                        fields.0.insert(key, map.next_value()?);
                    }
                }
                Ok(DecodedDeployment { fields, payload })
            }
        }

        deserializer.deserialize_map(DeploymentVisitor(PhantomData))
    }
}

impl Serialize for Deployment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        macro_rules! present {
            ($($field:ident),*) => {
                $(if let Some(value) = &self.$field {
                    map.serialize_entry(stringify!($field), value)?;
                })*
            };
        }
        present!(
            name,
            workflow_id,
            workflow_version,
            hardware,
            min_instances,
            max_instances,
            queue_size,
            keep_warm_duration_in_seconds,
            status,
            is_enabled,
            created_at,
            updated_at,
            payload,
            readme
        );
        for (key, value) in &self.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
