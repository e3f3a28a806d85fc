//! Checks that each schedule waits for the next tick of its timing. A database clock that was ahead for a while leaves a
//! tick that is too late.

use super::{
    evidence::Evidence,
    notebook::{About, Check, Notebook},
};
use leasehold_core::Drift;
use leasehold_schedule::Calendar;

const NEXT_TICK: Check = Check {
    name: "schedules wait for their next tick",
    store: "postgres",
    advice: "`leasehold schedule pause` and then `leasehold schedule resume` find the next tick again; \
             find out whether the clock of PostgreSQL was ahead",
};

pub(super) fn check(evidence: &Evidence, notebook: &mut Notebook) {
    let Some(schedules) = &evidence.schedules else {
        return notebook.looked(&NEXT_TICK, 0);
    };
    notebook.looked(&NEXT_TICK, schedules.due.len());
    for schedule in &schedules.due {
        let (name, next_at) = (&schedule.name, schedule.next_at);
        // A row that this program cannot read is the finding of another check, when its tick comes.
        let next = Calendar::of(&schedule.timing).ok().and_then(|calendar| calendar.next_after(schedules.now));
        let Some(next) = next.filter(|next| *next < next_at) else { continue };
        let detail = format!("schedule {name} waits for {next_at}, but its next tick is at {next}");
        notebook.suspect(&NEXT_TICK, Drift::RowBroken, About::default(), format!("schedule {name}"), detail);
    }
}
