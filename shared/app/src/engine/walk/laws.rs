//! What holds for any playbook and any point at which a worker is stopped.

use super::*;
use crate::engine::trial::*;
use proptest::prelude::*;
use quench_automations::{Mode, Playbook};

/// The makings of a random step; ids are given out later.
#[derive(Debug, Clone)]
enum Seed {
    Act(Fate, bool),
    Mend(Fate, Decision, bool),
    Invoke(Fate, Decision, bool),
    Gate(Decision, bool, bool),
    Set,
    Wait,
    Stop(bool),
    If(bool, Vec<Seed>, Vec<Seed>, bool),
    Each(usize, Vec<Seed>, bool),
    Call(Vec<Seed>, bool),
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let fate = prop_oneof![
        4 => Just(Fate::Success),
        1 => (1_usize..3).prop_map(Fate::Busy),
        1 => Just(Fate::Refused),
        1 => (1_usize..3).prop_map(Fate::Silence),
    ];
    let mending = prop_oneof![3 => fate.clone(), 1 => (1_usize..3).prop_map(Fate::Moved)];
    let answer = prop_oneof![
        4 => Just(Decision::Approved),
        1 => Just(Decision::Denied),
        1 => Just(Decision::Expired),
    ];
    let leaf = prop_oneof![
        8 => (fate.clone(), any::<bool>()).prop_map(|(fate, on)| Seed::Act(fate, on)),
        6 => (mending, answer.clone(), any::<bool>())
            .prop_map(|(fate, answer, on)| Seed::Mend(fate, answer, on)),
        3 => (fate, answer.clone(), any::<bool>())
            .prop_map(|(fate, answer, on)| Seed::Invoke(fate, answer, on)),
        2 => (answer, any::<bool>(), any::<bool>())
            .prop_map(|(answer, about, on)| Seed::Gate(answer, about, on)),
        2 => Just(Seed::Set),
        1 => Just(Seed::Wait),
        1 => any::<bool>().prop_map(Seed::Stop),
    ];
    let seed = leaf.prop_recursive(3, 12, 3, |inner| {
        let some = proptest::collection::vec(inner, 0..3);
        prop_oneof![
            (any::<bool>(), some.clone(), some.clone(), any::<bool>())
                .prop_map(|(truth, then, otherwise, on)| Seed::If(truth, then, otherwise, on)),
            (0_usize..3, some.clone(), any::<bool>())
                .prop_map(|(count, steps, on)| Seed::Each(count, steps, on)),
            (some, any::<bool>()).prop_map(|(steps, on)| Seed::Call(steps, on)),
        ]
    });
    proptest::collection::vec(seed, 1..5)
}

/// Grows steps out of seeds, called playbooks and fates beside them.
#[derive(Default)]
struct Garden {
    count: usize,
    called: Vec<Playbook>,
    fates: Vec<(String, Fate)>,
    answers: Vec<(String, Decision)>,
}

impl Garden {
    fn grow(&mut self, seeds: &[Seed], on_unknown: Option<OnUnknown>) -> Vec<Step> {
        seeds
            .iter()
            .map(|seed| {
                self.count += 1;
                let id = format!("s{}", self.count);
                let (mut step, on) = match seed {
                    Seed::Act(fate, on) => {
                        self.fates.push((id.clone(), *fate));
                        (act(&id), *on)
                    }
                    Seed::Mend(fate, answer, on) => {
                        self.fates.push((id.clone(), *fate));
                        self.answers.push((id.clone(), *answer));
                        (mend(&id, &format!("bucket-{id}")), *on)
                    }
                    Seed::Invoke(fate, answer, on) => {
                        self.fates.push((id.clone(), *fate));
                        self.answers.push((id.clone(), *answer));
                        (invoke(&id), *on)
                    }
                    Seed::Gate(answer, about, on) => {
                        self.answers.push((id.clone(), *answer));
                        // About what the next step may mend.
                        let next = format!("bucket-s{}", self.count + 1);
                        (gate(&id, about.then_some(next.as_str())), *on)
                    }
                    Seed::Set => (
                        set(&id, &id, "{{ finding.title }} {{ steps | length }}"),
                        false,
                    ),
                    Seed::Wait => (wait(&id, "10m"), false),
                    Seed::Stop(failed) => (stop(&id, *failed), false),
                    Seed::If(truth, then, otherwise, on) => {
                        let (then, otherwise) = (
                            self.grow(then, on_unknown),
                            self.grow(otherwise, on_unknown),
                        );
                        (choice(&id, &truth.to_string(), then, otherwise), *on)
                    }
                    Seed::Each(count, steps, on) => {
                        let steps = self.grow(steps, on_unknown);
                        (each(&id, &format!("range({count})"), 3, steps), *on)
                    }
                    Seed::Call(steps, on) => {
                        let steps = self.grow(steps, on_unknown);
                        let name = format!("p{id}");
                        self.called.push(playbook(&name, steps));
                        (call(&id, &name, &json!({})), *on)
                    }
                };
                step.on_unknown = on_unknown;
                if on { carry_on(step) } else { step }
            })
            .collect()
    }

    fn script(seeds: &[Seed], on_unknown: Option<OnUnknown>, mode: Mode) -> Trial {
        let mut garden = Self::default();
        let main = playbook("main", garden.grow(seeds, on_unknown));
        let mut playbooks = vec![main];
        playbooks.append(&mut garden.called);
        let (mut run, script) = script(playbooks);
        run.mode = Some(mode);
        Trial {
            run,
            script,
            fates: garden.fates,
            answers: garden.answers,
        }
    }
}

/// A run, and what the world makes of it.
struct Trial {
    run: Run,
    script: Script,
    fates: Vec<(String, Fate)>,
    answers: Vec<(String, Decision)>,
}

impl Trial {
    fn world(&self, idempotent: bool) -> World {
        let fates: Vec<_> = self
            .fates
            .iter()
            .map(|(id, fate)| (id.as_str(), *fate))
            .collect();
        let mut world = World::new(idempotent, &fates);
        world.answers = self.answers.iter().cloned().collect();
        world
    }

    fn work(&self, world: &mut World, crash: Option<usize>) -> Option<RunState> {
        world.work(&self.script, &self.run, crash)
    }
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Observe),
        Just(Mode::Approve),
        Just(Mode::Enforce)
    ]
}

/// How often each path took effect.
fn counts(world: &World) -> std::collections::BTreeMap<&str, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for path in world.paths() {
        *counts.entry(path).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Stopped at every point in turn, a run has the same effects and the same end as one that nobody stops.
    #[test]
    fn a_crash_anywhere_changes_nothing_where_repeats_do_no_harm(seeds in seeds(), mode in modes()) {
        let trial = Garden::script(&seeds, None, mode);
        let mut calm = trial.world(true);
        let end = trial.work(&mut calm, None);
        for point in 1.. {
            let mut rough = trial.world(true);
            if trial.work(&mut rough, Some(point)).is_some() {
                break;
            }
            prop_assert_eq!(&trial.work(&mut rough, None), &end);
            prop_assert_eq!(&rough.effects, &calm.effects);
        }
    }

    /// Stopped again and again, a run still comes to the same end.
    #[test]
    fn a_run_survives_many_crashes(seeds in seeds(), mode in modes(), points in proptest::collection::vec(1_usize..9, 1..12)) {
        let trial = Garden::script(&seeds, None, mode);
        let mut calm = trial.world(true);
        let end = trial.work(&mut calm, None);
        let mut rough = trial.world(true);
        let mut last = None;
        for point in points {
            last = trial.work(&mut rough, Some(point));
        }
        let last = last.or_else(|| trial.work(&mut rough, None));
        prop_assert_eq!(last, end);
        prop_assert_eq!(rough.effects, calm.effects);
    }

    /// Where repeats do harm, every effect beyond the first has a doubt in the journal, and nothing is skipped.
    #[test]
    fn repeats_are_never_more_than_the_doubts(seeds in seeds(), mode in modes()) {
        let trial = Garden::script(&seeds, Some(OnUnknown::Repeat), mode);
        let mut calm = trial.world(false);
        let end = trial.work(&mut calm, None);
        let once: Vec<_> = counts(&calm).into_keys().collect();
        for point in 1.. {
            let mut rough = trial.world(false);
            if trial.work(&mut rough, Some(point)).is_some() {
                break;
            }
            prop_assert_eq!(&trial.work(&mut rough, None), &end);
            let counts = counts(&rough);
            prop_assert_eq!(counts.keys().copied().collect::<Vec<_>>(), once.clone());
            for (path, count) in counts {
                let doubts = rough.journal.iter().filter(|entry| {
                    entry.path == path && matches!(entry.event, Event::Unknown { .. })
                });
                prop_assert!(count <= 1 + doubts.count());
            }
        }
    }

    /// With `on_unknown: fail` nothing happens twice, wherever the worker is stopped.
    #[test]
    fn nothing_happens_twice_where_doubts_fail(seeds in seeds(), mode in modes()) {
        let trial = Garden::script(&seeds, Some(OnUnknown::Fail), mode);
        for point in 1.. {
            let mut rough = trial.world(false);
            if trial.work(&mut rough, Some(point)).is_some() {
                break;
            }
            prop_assert!(trial.work(&mut rough, None).is_some());
            prop_assert!(counts(&rough).values().all(|count| *count == 1));
        }
    }

    /// Nothing is changed in the mode that changes nothing, whatever people say and wherever the worker is stopped.
    #[test]
    fn nothing_is_mended_where_one_only_looks(seeds in seeds(), point in 1_usize..60) {
        let trial = Garden::script(&seeds, None, Mode::Observe);
        let mut world = trial.world(true);
        if trial.work(&mut world, Some(point)).is_none() {
            trial.work(&mut world, None);
        }
        let changes = |event: &Event| matches!(event, Event::Applying { .. } | Event::Applied { .. });
        prop_assert!(!world.journal.iter().any(|entry| changes(&entry.event)));
    }

    /// What is applied is what was planned last, and agreed to where somebody has to agree.
    #[test]
    fn nothing_is_mended_that_nobody_agreed_to(seeds in seeds(), points in proptest::collection::vec(1_usize..9, 0..6)) {
        let trial = Garden::script(&seeds, None, Mode::Approve);
        let mut world = trial.world(true);
        let mut last = None;
        for point in points {
            last = trial.work(&mut world, Some(point));
        }
        if last.is_none() {
            trial.work(&mut world, None);
        }
        for (line, entry) in world.journal.iter().enumerate() {
            let Event::Applying { hash } = &entry.event else { continue };
            let before = &world.journal[..line];
            let planned = before.iter().rev().find_map(|other| match &other.event {
                Event::Planned { plan, .. } if other.path == entry.path => Some(&plan.hash),
                _ => None,
            });
            prop_assert_eq!(planned, Some(hash));
            // By the step itself, or by one before it that asked about the same.
            let asked: Vec<&String> = before.iter().filter_map(|other| match &other.event {
                Event::Asked { approval, hash: about, .. } if about == hash => Some(approval),
                _ => None,
            }).collect();
            let agreed = before.iter().any(|other| match &other.event {
                Event::Decided { approval, decision: Decision::Approved, .. } => asked.contains(&approval),
                _ => false,
            });
            prop_assert!(agreed, "{} was applied unasked", entry.path);
        }
    }

    /// Journal and script alone say what follows: two walkers never disagree.
    #[test]
    fn a_walker_that_was_there_all_along_knows_no_more_than_a_new_one(seeds in seeds(), mode in modes()) {
        let trial = Garden::script(&seeds, None, mode);
        let mut calm = trial.world(true);
        trial.work(&mut calm, None);
        let mut along = Walker::new(&trial.script, &trial.run, &[], None);
        for (line, entry) in calm.journal.iter().enumerate() {
            let late = Walker::new(&trial.script, &trial.run, &calm.journal[..line], None).next(entry.at);
            prop_assert_eq!(along.next(entry.at), late);
            along.record(entry);
        }
    }
}
