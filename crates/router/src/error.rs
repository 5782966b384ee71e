use store::MigrateError;

/// Why the router stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its tables cannot be made or brought up to date.
    #[error("cannot prepare the router's tables")]
    Migrate(#[source] MigrateError),
    /// It cannot become the owner of its group.
    #[error("cannot take over the router's work")]
    TakeOver(#[source] store::CommitError),
    /// Held dossiers cannot be tried again.
    #[error("cannot try the held dossiers again")]
    Recheck(#[source] store::ReadError),
    /// What was released cannot be committed.
    #[error("cannot commit released dossiers")]
    Release(#[source] store::CommitError),
    /// The consumer stopped.
    #[error("the router stopped")]
    Consumer(#[from] consumer::Error),
}

// === impl Error ===

impl Error {
    /// Whether trying again may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Recheck(error) => error.is_transient(),
            Self::Release(error)
            | Self::TakeOver(error)
            | Self::Migrate(MigrateError::Commit(error)) => error.is_transient(),
            Self::Consumer(error) => error.is_transient(),
            Self::Migrate(
                MigrateError::Newer { .. }
                | MigrateError::Failed { .. }
                | MigrateError::Version { .. },
            ) => false,
        }
    }
}
