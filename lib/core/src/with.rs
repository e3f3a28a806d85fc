//! How the crates of the workspace, and users, fill a struct that is `#[non_exhaustive]`.

/// Gives types the method `with`. A later version can add fields to such a type.
#[doc(hidden)]
#[macro_export]
macro_rules! with_fields {
    ($($of:ty),* $(,)?) => {$(
        impl $of {
            /// The same with other fields.
            #[must_use]
            pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
                change(&mut self);
                self
            }
        }
    )*};
}

with_fields!(
    crate::BulkFilter,
    crate::ClaimedJob,
    crate::Demand,
    crate::JobRecord,
    crate::NewJob,
    crate::NewSchedule,
    crate::Parent,
    crate::Retry,
    crate::Unique,
);
