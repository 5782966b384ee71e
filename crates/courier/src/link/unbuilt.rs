use domain::AttemptClass;

use super::{Job, calls::Call};
use crate::answer::Answer;

/// A way that this version does not have: its lane holds everything.
pub(crate) struct Unbuilt;

impl Call for Unbuilt {
    async fn call(&self, _job: Job) -> Answer {
        Answer::new(
            AttemptClass::Blocked,
            "this way of delivery is not there yet",
        )
    }
}
