//! From a legal time limit to the instant at which it ends.

use jiff::civil::{Date, Time};
use jiff::{Span, Timestamp};

use crate::calendar::{Calendar, OutOfRange, Side};
use crate::table::{epoch_day, join, split};
use crate::within::Within;
use crate::working_time::WorkingTime;

// === impl Calendar ===

impl Calendar {
    /// When a limit ends for a dossier filed at `start`.
    ///
    /// | limit | ends |
    /// |---|---|
    /// | same day | at closing of the day of receipt |
    /// | n working hours | when so much working time has passed; the cut-off plays no part |
    /// | n working days | at closing of the n-th working day after the day of receipt |
    /// | n days | n civil days after the day of receipt, see below |
    /// | n months | on the day of the same number, or the month's last, see below |
    ///
    /// The day of receipt is the day of filing; the next working day if it was filed on a closed
    /// day, after the cut-off (exactly at the cut-off is in time) or once the office had closed. It
    /// is itself not counted (Civil Code 2015, Art. 147(2)). Limits in days and months that would
    /// end on a closed day end on the next working day (Art. 148(5)); a month without the day ends
    /// on its last (Art. 148(3)). Where the Code lets a day end at midnight, the limit ends at
    /// closing here: an office cannot hand over a result later, and earlier is safe.
    ///
    /// `cut_off` replaces the calendar's own; a half day's earlier closing always holds.
    pub fn deadline(
        &self,
        start: Timestamp,
        within: &Within,
        cut_off: Option<Time>,
    ) -> Result<Timestamp, OutOfRange> {
        if let Within::WorkingHours(hours) = *within {
            return self.add(start, WorkingTime::from_hours(hours.into()));
        }
        let received = self.receipt_day(start, cut_off)?;
        let last = match *within {
            Within::SameDay | Within::WorkingHours(_) => received,
            Within::WorkingDays(count) => self.nth_working_day(received, count)?,
            Within::CalendarDays(count) => {
                self.working_day_after(received, Span::new().try_days(count))?
            }
            Within::Months(count) => {
                self.working_day_after(received, Span::new().try_months(count))?
            }
        };
        self.closing(last)
    }

    /// The day of receipt of a dossier filed at `start`, as [`deadline`](Self::deadline) counts it.
    pub fn received_on(&self, start: Timestamp, cut_off: Option<Time>) -> Result<Date, OutOfRange> {
        let day = self.receipt_day(start, cut_off)?;
        crate::table::date(day).ok_or_else(|| self.beyond(Side::After))
    }

    /// The deadline after the clock stood still from one instant to another, as it does while the
    /// applicant supplements: later by the working time in between. A pause that ends before it
    /// begins moves nothing.
    pub fn resume(
        &self,
        due: Timestamp,
        paused_from: Timestamp,
        paused_to: Timestamp,
    ) -> Result<Timestamp, OutOfRange> {
        let paused = self.between(paused_from, paused_to)?;
        self.add(due, paused.max(WorkingTime::ZERO))
    }

    fn receipt_day(&self, start: Timestamp, cut_off: Option<Time>) -> Result<i64, OutOfRange> {
        let (day, second) = split(self.inside(start)?);
        let filed = self.offset().to_datetime(start).time();
        let late = cut_off
            .or(self.cut_off())
            .is_some_and(|cut_off| filed > cut_off);
        let shut = self
            .table()
            .hours(day)
            .closing()
            .is_none_or(|closing| second >= closing);
        self.working_day_from(if late || shut { day + 1 } else { day })
    }

    fn nth_working_day(&self, received: i64, count: u32) -> Result<i64, OutOfRange> {
        (0..count).try_fold(received, |day, _| self.working_day_from(day + 1))
    }

    /// The first working day from so much civil time after a day.
    fn working_day_after(
        &self,
        day: i64,
        civil: Result<Span, jiff::Error>,
    ) -> Result<i64, OutOfRange> {
        let last = civil
            .ok()
            .and_then(|span| crate::table::date(day)?.checked_add(span).ok());
        self.working_day_from(epoch_day(last.ok_or_else(|| self.beyond(Side::After))?))
    }

    fn working_day_from(&self, day: i64) -> Result<i64, OutOfRange> {
        self.table()
            .working_day_from(day)
            .ok_or_else(|| self.beyond(Side::After))
    }

    fn closing(&self, day: i64) -> Result<Timestamp, OutOfRange> {
        let closing = self.table().hours(day).closing();
        let local = closing.map(|second| join(day, second));
        self.timestamp(local.ok_or_else(|| self.beyond(Side::After))?)
    }
}
