//! What holds for any playbook and any point at which a worker is stopped.

use super::*;
use crate::engine::trial::*;
use proptest::prelude::*;
use quench_automations::Playbook;

/// The makings of a random step; ids are given out later.
#[derive(Debug, Clone)]
enum Seed {
    Act(Fate, bool),
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
    let leaf = prop_oneof![
        8 => (fate, any::<bool>()).prop_map(|(fate, on)| Seed::Act(fate, on)),
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

    fn script(seeds: &[Seed], on_unknown: Option<OnUnknown>) -> (Run, Script, Vec<(String, Fate)>) {
        let mut garden = Self::default();
        let main = playbook("main", garden.grow(seeds, on_unknown));
        let mut playbooks = vec![main];
        playbooks.append(&mut garden.called);
        let (run, script) = script(playbooks);
        (run, script, garden.fates)
    }
}

fn world(idempotent: bool, fates: &[(String, Fate)]) -> World {
    let fates: Vec<_> = fates
        .iter()
        .map(|(id, fate)| (id.as_str(), *fate))
        .collect();
    World::new(idempotent, &fates)
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
    fn a_crash_anywhere_changes_nothing_where_repeats_do_no_harm(seeds in seeds()) {
        let (run, script, fates) = Garden::script(&seeds, None);
        let mut calm = world(true, &fates);
        let end = calm.work(&script, &run, None);
        for point in 1.. {
            let mut rough = world(true, &fates);
            if rough.work(&script, &run, Some(point)).is_some() {
                break;
            }
            prop_assert_eq!(&rough.work(&script, &run, None), &end);
            prop_assert_eq!(&rough.effects, &calm.effects);
        }
    }

    /// Stopped again and again, a run still comes to the same end.
    #[test]
    fn a_run_survives_many_crashes(seeds in seeds(), points in proptest::collection::vec(1_usize..9, 1..12)) {
        let (run, script, fates) = Garden::script(&seeds, None);
        let mut calm = world(true, &fates);
        let end = calm.work(&script, &run, None);
        let mut rough = world(true, &fates);
        let mut last = None;
        for point in points {
            last = rough.work(&script, &run, Some(point));
        }
        let last = last.or_else(|| rough.work(&script, &run, None));
        prop_assert_eq!(last, end);
        prop_assert_eq!(rough.effects, calm.effects);
    }

    /// Where repeats do harm, every effect beyond the first has a doubt in the journal, and nothing is skipped.
    #[test]
    fn repeats_are_never_more_than_the_doubts(seeds in seeds()) {
        let (run, script, fates) = Garden::script(&seeds, Some(OnUnknown::Repeat));
        let mut calm = world(false, &fates);
        let end = calm.work(&script, &run, None);
        let once: Vec<_> = counts(&calm).into_keys().collect();
        for point in 1.. {
            let mut rough = world(false, &fates);
            if rough.work(&script, &run, Some(point)).is_some() {
                break;
            }
            prop_assert_eq!(&rough.work(&script, &run, None), &end);
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
    fn nothing_happens_twice_where_doubts_fail(seeds in seeds()) {
        let (run, script, fates) = Garden::script(&seeds, Some(OnUnknown::Fail));
        for point in 1.. {
            let mut rough = world(false, &fates);
            if rough.work(&script, &run, Some(point)).is_some() {
                break;
            }
            prop_assert!(rough.work(&script, &run, None).is_some());
            prop_assert!(counts(&rough).values().all(|count| *count == 1));
        }
    }

    /// Journal and script alone say what follows: two walkers never disagree.
    #[test]
    fn a_walker_that_was_there_all_along_knows_no_more_than_a_new_one(seeds in seeds()) {
        let (run, script, fates) = Garden::script(&seeds, None);
        let mut calm = world(true, &fates);
        calm.work(&script, &run, None);
        let mut along = Walker::new(&script, &run, &[], None);
        for (line, entry) in calm.journal.iter().enumerate() {
            let late = Walker::new(&script, &run, &calm.journal[..line], None).next(entry.at);
            prop_assert_eq!(along.next(entry.at), late);
            along.record(entry);
        }
    }
}
