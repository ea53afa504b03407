//! The rules of the queue, with a clock of our own.

use super::*;

fn key(name: &str) -> Key {
    Key::new("ns", name)
}

fn schedule() -> (Schedule, Instant) {
    (Schedule::new(Backoff::default()), Instant::now())
}

fn take(schedule: &mut Schedule, now: Instant) -> Option<String> {
    schedule.take(now).map(|taken| taken.key.name)
}

#[test]
fn backoff_doubles_from_750ms_to_15m() {
    let (mut schedule, now) = schedule();
    let mut delays = Vec::new();
    for _ in 0..13 {
        delays.push(schedule.add_failed(key("a"), 0, now).as_millis());
    }
    assert_eq!(delays[..4], [750, 1500, 3000, 6000]);
    assert_eq!(delays[10..], [768_000, 900_000, 900_000]);
    assert_eq!(schedule.add_failed(key("b"), 0, now).as_millis(), 750);
    schedule.forget(&key("a"));
    assert_eq!(schedule.add_failed(key("a"), 0, now).as_millis(), 750);
}

#[test]
fn an_object_is_queued_once() {
    let (mut schedule, now) = schedule();
    assert!(schedule.add(key("a"), 0, None, now));
    assert!(!schedule.add(key("a"), 0, None, now));
    assert_eq!(take(&mut schedule, now).as_deref(), Some("a"));
    assert_eq!(take(&mut schedule, now), None);
}

#[test]
fn edits_overtake_the_initial_list_and_equals_keep_their_order() {
    let (mut schedule, now) = schedule();
    for name in ["i1", "i2", "i3"] {
        schedule.add(key(name), INITIAL_LIST_PRIORITY, None, now);
    }
    schedule.add(key("e1"), 0, None, now);
    schedule.add(key("i2"), 0, None, now);
    assert_eq!(schedule.depth(), &BTreeMap::from([(-100, 2), (0, 2)]));
    let order: Vec<String> = std::iter::from_fn(|| take(&mut schedule, now)).collect();
    assert_eq!(order, ["e1", "i2", "i1", "i3"]);
    assert_eq!(schedule.depth(), &BTreeMap::from([(-100, 0), (0, 0)]));
}

#[test]
fn a_delayed_object_waits_and_an_edit_brings_it_forward() {
    let (mut schedule, now) = schedule();
    let minute = Duration::from_secs(60);
    schedule.add_after(key("a"), 0, minute, now);
    schedule.add_after(key("b"), 0, 2 * minute, now);
    schedule.add_after(key("b"), 0, 3 * minute, now);
    assert_eq!(take(&mut schedule, now), None);
    assert_eq!(schedule.next_due(), Some(now + minute));
    schedule.add(key("b"), 0, None, now);
    assert_eq!(take(&mut schedule, now).as_deref(), Some("b"));
    schedule.done(&key("b"), now);
    let taken = schedule.take(now + minute + Duration::from_secs(1)).unwrap();
    assert_eq!(taken.key, key("a"));
    assert_eq!(taken.waited, Duration::from_secs(1));
    assert_eq!(take(&mut schedule, now + 10 * minute), None);
}

#[test]
fn an_object_due_while_running_runs_once_more_and_the_pass_learns_why() {
    let (mut schedule, now) = schedule();
    schedule.add(key("a"), 0, None, now);
    let running = schedule.take(now).unwrap();
    assert!(running.interrupted.borrow().is_none());
    let cause = Cause {
        kind: "GitRepository".into(),
        key: key("source"),
        uid: "u".into(),
        resource_version: "7".into(),
    };
    assert!(schedule.add(key("a"), 0, Some(cause.clone()), now));
    assert!(!schedule.add(key("a"), 0, None, now));
    assert_eq!(running.interrupted.borrow().as_ref(), Some(&cause));
    assert_eq!(cause.to_string(), "GitRepository/ns/source");
    assert_eq!(take(&mut schedule, now), None);
    // What the pass itself asks for does not delay what is due now.
    schedule.add_after(key("a"), 0, Duration::from_secs(60), now);
    schedule.done(&key("a"), now);
    assert_eq!(take(&mut schedule, now).as_deref(), Some("a"));
    assert_eq!(take(&mut schedule, now), None);
}

#[test]
fn a_pass_that_asks_for_later_is_queued_for_later() {
    let (mut schedule, now) = schedule();
    schedule.add(key("a"), 0, None, now);
    schedule.take(now);
    schedule.add_after(key("a"), 0, Duration::from_secs(60), now);
    let later = now + Duration::from_secs(2);
    assert_eq!(schedule.done(&key("a"), later), Duration::from_secs(2));
    assert_eq!(take(&mut schedule, later), None);
    assert_eq!(schedule.next_due(), Some(now + Duration::from_secs(60)));
}

#[test]
fn a_removed_object_is_forgotten() {
    let (mut schedule, now) = schedule();
    schedule.add_failed(key("a"), 0, now);
    schedule.remove(&key("a"));
    assert_eq!(schedule.next_due(), None);
    assert_eq!(schedule.add_failed(key("a"), 0, now).as_millis(), 750);
}

#[tokio::test]
async fn waiting_ends_when_something_is_due_or_the_queue_closes() {
    let queue = Queue::new(Backoff::default(), ());
    queue.add_after(key("later"), 0, Duration::from_millis(30));
    assert_eq!(queue.take().await.unwrap().key, key("later"));
    queue.done(&key("later"));
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.take().await.map(|taken| taken.key) }
    });
    tokio::task::yield_now().await;
    queue.add(key("now"), 0, None);
    assert_eq!(waiting.await.unwrap(), Some(key("now")));
    assert!(queue.unfinished().0 > Duration::ZERO);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.take().await.is_none() }
    });
    tokio::task::yield_now().await;
    queue.close();
    assert!(waiting.await.unwrap());
    assert!(queue.take().await.is_none());
}

#[tokio::test]
async fn many_workers_get_everything_once() {
    let queue = Queue::new(Backoff::default(), ());
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while let Some(taken) = queue.take().await {
                    tokio::task::yield_now().await;
                    queue.done(&taken.key);
                    seen.push(taken.key.name);
                }
                seen
            })
        })
        .collect();
    for n in 0..500 {
        queue.add(key(&n.to_string()), 0, None);
        tokio::task::yield_now().await;
    }
    while queue.unfinished().0 > Duration::ZERO || !queue.is_idle() {
        tokio::task::yield_now().await;
    }
    queue.close();
    let mut seen = Vec::new();
    for worker in workers {
        seen.extend(worker.await.unwrap());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 500);
}

#[test]
fn repeated_work_keeps_its_priority_until_an_edit() {
    let (mut schedule, now) = schedule();
    schedule.add(key("old"), INITIAL_LIST_PRIORITY, None, now);
    let taken = schedule.take(now).unwrap();
    schedule.add_after(key("old"), taken.priority, Duration::from_secs(1), now);
    schedule.done(&key("old"), now);
    schedule.add(key("edited"), 0, None, now + Duration::from_secs(1));
    let later = now + Duration::from_secs(1);
    assert_eq!(take(&mut schedule, later).as_deref(), Some("edited"));
    let taken = schedule.take(later).unwrap();
    assert_eq!(taken.priority, INITIAL_LIST_PRIORITY);
    schedule.add(key("old"), 0, None, later);
    schedule.done(&key("old"), later);
    assert_eq!(schedule.take(later).unwrap().priority, 0);
}
