//! The operator's defaults for the parameters that an object may leave out.

/// Why a `POOL_*` variable is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefaultsError {
    /// It is no whole number in its range.
    #[error("{name}={value:?} must be a whole number from {min} to {max}")]
    Number {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// The least that is taken.
        min: i32,
        /// The most that is taken.
        max: i32,
    },
    /// It is neither true nor false.
    #[error("{name}={value:?} must be true or false")]
    Bool {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// The two sizes don't fit together.
    #[error("POOL_MIN_SIZE={min} must not be greater than POOL_MAX_SIZE={max}")]
    MinOverMax {
        /// The minimum.
        min: i32,
        /// The maximum.
        max: i32,
    },
}

/// What applies where an object says nothing: `POOL_*` variables over built-in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolDefaults {
    /// `POOL_MIN_SIZE`, built-in 1: sessions kept open.
    pub min_size: i32,
    /// `POOL_MAX_SIZE`, built-in 10: most sessions.
    pub max_size: i32,
    /// `POOL_TIMEOUT`, built-in 30: seconds that a request waits.
    pub timeout: i32,
    /// `POOL_RECYCLE_SECONDS`, built-in 3600: age at which a session is replaced.
    pub recycle_seconds: i32,
    /// `POOL_PRE_PING`, built-in true: whether idle sessions are pinged before use.
    pub pre_ping: bool,
}

impl PoolDefaults {
    /// The built-in values.
    pub fn built_in() -> Self {
        Self { min_size: 1, max_size: 10, timeout: 30, recycle_seconds: 3600, pre_ping: true }
    }

    /// The built-in values, changed by the variables that `variable` gives.
    ///
    /// # Errors
    /// If a variable holds something else than it should.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, DefaultsError> {
        let number = |name: &'static str, default: i32, min: i32, max: i32| match variable(name) {
            None => Ok(default),
            Some(value) => match value.trim().parse() {
                Ok(number) if (min..=max).contains(&number) => Ok(number),
                _ => Err(DefaultsError::Number { name, value, min, max }),
            },
        };
        let built_in = Self::built_in();
        let defaults = Self {
            min_size: number("POOL_MIN_SIZE", built_in.min_size, 0, 10_000)?,
            max_size: number("POOL_MAX_SIZE", built_in.max_size, 1, 10_000)?,
            timeout: number("POOL_TIMEOUT", built_in.timeout, 1, 3600)?,
            recycle_seconds: number("POOL_RECYCLE_SECONDS", built_in.recycle_seconds, 0, 2_592_000)?,
            pre_ping: match variable("POOL_PRE_PING") {
                None => built_in.pre_ping,
                Some(value) => match value.trim().to_ascii_lowercase().as_str() {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(DefaultsError::Bool { name: "POOL_PRE_PING", value }),
                },
            },
        };
        if defaults.min_size > defaults.max_size {
            return Err(DefaultsError::MinOverMax { min: defaults.min_size, max: defaults.max_size });
        }
        Ok(defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<PoolDefaults, DefaultsError> {
        PoolDefaults::from_env(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn variables_change_the_built_in_values() {
        assert_eq!(from(&[]), Ok(PoolDefaults::built_in()));
        let changed =
            from(&[("POOL_MIN_SIZE", "2"), ("POOL_PRE_PING", "False"), ("POOL_RECYCLE_SECONDS", "0")]);
        let expected =
            PoolDefaults { min_size: 2, pre_ping: false, recycle_seconds: 0, ..PoolDefaults::built_in() };
        assert_eq!(changed, Ok(expected));
    }

    #[test]
    fn wrong_values_are_named() {
        let message = |pairs: &[_]| from(pairs).unwrap_err().to_string();
        assert_eq!(
            message(&[("POOL_TIMEOUT", "0")]),
            "POOL_TIMEOUT=\"0\" must be a whole number from 1 to 3600"
        );
        assert_eq!(message(&[("POOL_PRE_PING", "yes")]), "POOL_PRE_PING=\"yes\" must be true or false");
        assert!(message(&[("POOL_MIN_SIZE", "11")]).contains("POOL_MAX_SIZE=10"));
    }
}
