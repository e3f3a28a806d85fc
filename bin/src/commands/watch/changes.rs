//! Listens to the reports of the kernel (inotify on Linux) about the folder. A report only says that a file may have
//! changed. A lost report only costs time, because the next scan finds the file.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// What was reported since the last call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The names of files to look at.
    pub(crate) names: BTreeSet<OsString>,
    /// Reports were lost, or the folder itself changed: read all of the folder.
    pub(crate) all: bool,
}

/// The reports about one folder.
#[derive(Default)]
pub(crate) struct Changes {
    shared: Arc<Shared>,
    /// The folder that the kernel reports about, as device and number.
    of: Option<(u64, u64)>,
    watcher: Option<RecommendedWatcher>,
}

#[derive(Default)]
struct Shared {
    reported: Mutex<Reported>,
    news: Notify,
}

impl Changes {
    /// Whether the kernel reports about this folder.
    pub(crate) fn is_of(&self, identity: (u64, u64)) -> bool {
        self.of == Some(identity)
    }

    /// Begins to listen. `identity` is the identity of the folder.
    pub(crate) fn listen(&mut self, folder: &Path, identity: (u64, u64)) -> notify::Result<()> {
        self.of = None;
        self.watcher = None;
        let shared = Arc::clone(&self.shared);
        let path = folder.to_owned();
        let mut watcher = notify::recommended_watcher(move |event| shared.take(&path, event))?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        self.watcher = Some(watcher);
        self.of = Some(identity);
        Ok(())
    }

    /// What was reported since the last call.
    pub(crate) fn take(&self) -> Reported {
        std::mem::take(&mut *self.shared.reported.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for a report.
    pub(crate) async fn any(&self) {
        self.shared.news.notified().await;
    }
}

impl Shared {
    fn take(&self, folder: &Path, event: notify::Result<notify::Event>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // A program only read a file, or the watcher itself read the folder.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) && !event.need_rescan() => return,
            Ok(event) => {
                reported.all |= event.need_rescan();
                for path in &event.paths {
                    match path.file_name() {
                        Some(name) if path.parent() == Some(folder) => {
                            reported.names.insert(name.to_owned());
                        }
                        _ => reported.all = true,
                    }
                }
            }
            Err(_) => reported.all = true,
        }
        drop(reported);
        self.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::{
        Event,
        event::{AccessKind, CreateKind, Flag},
    };

    #[test]
    fn reports_name_files_and_lost_reports_ask_for_a_scan() {
        let shared = Shared::default();
        let of = |kind| Event::new(kind);
        shared.take(Path::new("/d"), Ok(of(EventKind::Create(CreateKind::File)).add_path("/d/a b".into())));
        shared.take(Path::new("/d"), Ok(of(EventKind::Access(AccessKind::Any)).add_path("/d/c".into())));
        let mut changes = Changes { shared: Arc::new(shared), ..Changes::default() };
        let names = BTreeSet::from([OsString::from("a b")]);
        assert_eq!(changes.take(), Reported { names, all: false });
        assert_eq!(changes.take(), Reported::default());
        let lost = of(EventKind::Other).set_flag(Flag::Rescan);
        changes.shared.take(Path::new("/d"), Ok(lost));
        assert!(changes.take().all);
        changes.shared.take(Path::new("/d"), Ok(of(EventKind::Any).add_path("/d".into())));
        assert!(changes.take().all);
        changes.of = Some((1, 2));
        assert!(changes.is_of((1, 2)) && !changes.is_of((1, 3)));
    }
}
