//! The fields of a specification that REST writes, by their names here and there.

/// A field of the specification that REST writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `pool_enabled`
    PoolEnabled,
    /// `pool_strategy`
    PoolStrategy,
    /// `pool_min_size`
    PoolMinSize,
    /// `pool_max_size`
    PoolMaxSize,
    /// `pool_timeout`
    PoolTimeout,
    /// `pool_recycle_seconds`
    PoolRecycleSeconds,
    /// `pool_pre_ping`
    PoolPrePing,
    /// Requests after which a session is replaced; only advice that is applied writes it.
    PoolMaxRequests,
    /// Whether the pool is drained.
    DesiredState,
    /// How long a drain waits.
    DrainTimeout,
    /// What asks for a reset.
    ResetToken,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Flag,
    Strategy,
    /// A whole number within bounds.
    Number(i32, i32),
    Other,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 11] = [
        Self::PoolEnabled,
        Self::PoolStrategy,
        Self::PoolMinSize,
        Self::PoolMaxSize,
        Self::PoolTimeout,
        Self::PoolRecycleSeconds,
        Self::PoolPrePing,
        Self::PoolMaxRequests,
        Self::DesiredState,
        Self::DrainTimeout,
        Self::ResetToken,
    ];

    /// The documented parameters.
    pub const CONFIG: [Self; 7] = [
        Self::PoolEnabled,
        Self::PoolStrategy,
        Self::PoolMinSize,
        Self::PoolMaxSize,
        Self::PoolTimeout,
        Self::PoolRecycleSeconds,
        Self::PoolPrePing,
    ];

    /// Where it stands in the specification.
    pub const fn path(self) -> &'static [&'static str] {
        match self {
            Self::PoolEnabled => &["poolEnabled"],
            Self::PoolStrategy => &["poolStrategy"],
            Self::PoolMinSize => &["poolMinSize"],
            Self::PoolMaxSize => &["poolMaxSize"],
            Self::PoolTimeout => &["poolTimeout"],
            Self::PoolRecycleSeconds => &["poolRecycleSeconds"],
            Self::PoolPrePing => &["poolPrePing"],
            Self::PoolMaxRequests => &["poolMaxRequests"],
            Self::DesiredState => &["desiredState"],
            Self::DrainTimeout => &["drain", "timeoutSeconds"],
            Self::ResetToken => &["resetToken"],
        }
    }

    /// Its name in REST.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PoolEnabled => "pool_enabled",
            Self::PoolStrategy => "pool_strategy",
            Self::PoolMinSize => "pool_min_size",
            Self::PoolMaxSize => "pool_max_size",
            Self::PoolTimeout => "pool_timeout",
            Self::PoolRecycleSeconds => "pool_recycle_seconds",
            Self::PoolPrePing => "pool_pre_ping",
            Self::PoolMaxRequests => "pool_max_requests",
            Self::DesiredState => "desired_state",
            Self::DrainTimeout => "timeout",
            Self::ResetToken => "reset_token",
        }
    }

    /// The name in REST of a field that stands at `path` in an object, as in `spec.poolMinSize`; else the path.
    pub fn name_at(path: &str) -> String {
        let field = Self::ALL
            .into_iter()
            .find(|field| path.strip_prefix("spec.").is_some_and(|path| path == field.path().join(".")));
        field.map_or_else(|| path.to_owned(), |field| field.name().to_owned())
    }

    /// Whether every change of it is an operation.
    pub(super) const fn operates(self) -> bool {
        matches!(self, Self::DesiredState | Self::DrainTimeout | Self::ResetToken)
    }

    /// The least and the greatest number that it takes.
    #[cfg(test)]
    pub(super) fn bounds(self) -> Option<(i64, i64)> {
        match self.kind() {
            Kind::Number(least, most) => Some((least.into(), most.into())),
            Kind::Flag | Kind::Strategy | Kind::Other => None,
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::PoolEnabled | Self::PoolPrePing => Kind::Flag,
            Self::PoolStrategy => Kind::Strategy,
            Self::PoolMinSize => Kind::Number(0, 10_000),
            Self::PoolMaxSize => Kind::Number(1, 10_000),
            Self::PoolTimeout => Kind::Number(1, 3600),
            Self::PoolRecycleSeconds => Kind::Number(0, 2_592_000),
            Self::PoolMaxRequests => Kind::Number(0, 1_000_000_000),
            Self::DrainTimeout => Kind::Number(0, 86_400),
            Self::DesiredState | Self::ResetToken => Kind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    /// What REST takes is what the API server takes.
    #[test]
    fn bounds_are_those_of_the_definition() {
        let crd = schema::json().unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for field in Field::ALL {
            let schema = field.path().iter().fold(spec, |schema, part| &schema["properties"][*part]);
            assert!(schema["type"].is_string(), "{field:?} is no field of the definition");
            let bounds = schema["minimum"].as_i64().zip(schema["maximum"].as_i64());
            assert_eq!(bounds, field.bounds(), "{field:?}");
        }
    }

    #[test]
    fn complaints_of_the_api_server_get_the_names_of_rest() {
        assert_eq!(Field::name_at("spec.poolMinSize"), "pool_min_size");
        assert_eq!(Field::name_at("spec.drain.timeoutSeconds"), "timeout");
        assert_eq!(Field::name_at("spec.isolation"), "spec.isolation");
    }
}
