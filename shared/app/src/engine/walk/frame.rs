use crate::engine::scope::Meaning;
use quench_automations::Step;
use serde_json::Value;

/// Steps that are being done in order.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) steps: &'a [Step],
    pub(super) at: usize,
    /// What the paths of these steps begin with.
    pub(super) prefix: String,
    pub(super) kind: FrameKind<'a>,
}

#[derive(Debug)]
pub(super) enum FrameKind<'a> {
    Root,
    Branch {
        owner: &'a Step,
    },
    Loop {
        owner: &'a Step,
        turn: Box<Turn<'a>>,
    },
    Call {
        owner: &'a Step,
    },
}

/// A turn of a loop.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) name: &'a str,
    pub(super) path: String,
    pub(super) items: Vec<Value>,
    pub(super) index: usize,
    /// Whether the items do not depend on the finding.
    pub(super) own: bool,
    /// What the loop's names stood for around it.
    pub(super) shadowed: [Meaning; 2],
}

impl<'a> FrameKind<'a> {
    pub(super) fn owner(&self) -> Option<&'a Step> {
        match self {
            Self::Root => None,
            Self::Branch { owner } | Self::Loop { owner, .. } | Self::Call { owner } => Some(owner),
        }
    }
}
