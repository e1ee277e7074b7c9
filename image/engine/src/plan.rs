//! How much memory the sequences get. Everything is taken when the model is loaded: nothing that is asked for later makes
//! the engine larger by more than the requests themselves.

/// Requests that generate at once, if memory allows. More only wait; each takes a share of the same computation.
const SEQUENCES: u32 = 8;

/// The longest context that is given without being asked for: prompts and replies beyond it are rare, and every sequence
/// pays for it in memory.
const CONTEXT: u32 = 16 * 1024;

/// The shortest context that is worth having; a machine too small for one such sequence can't serve the model.
const LEAST_CONTEXT: u32 = 512;

/// What a model needs, as far as the plan is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// The context the model was made for, in tokens.
    pub trained: u32,
    /// What a token takes in the cache of keys and values, in bytes.
    pub token_bytes: u64,
}

/// How many sequences of how many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Tokens in each.
    pub context: u32,
    /// Sequences.
    pub sequences: u32,
}

/// The largest plan within `memory` bytes: fewer sequences before shorter ones, because a request that doesn't fit can't
/// be served at all, and one that waits can.
pub fn plan(needs: Needs, memory: u64) -> Option<Plan> {
    let longest = needs.trained.clamp(1, CONTEXT);
    let tokens = memory.checked_div(needs.token_bytes.max(1)).unwrap_or(0);
    let sequences = tokens.checked_div(u64::from(longest)).unwrap_or(0);
    if sequences >= 1 {
        let sequences = u32::try_from(sequences).unwrap_or(SEQUENCES).min(SEQUENCES);
        return Some(Plan { context: longest, sequences });
    }
    let context = u32::try_from(tokens).unwrap_or(longest);
    // Whole pieces of 256, as the attention is computed.
    let context = context & !255;
    (context >= LEAST_CONTEXT).then_some(Plan { context, sequences: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        type Row = (u32, u64, u64, Option<(u32, u32)>);
        let table: &[Row] = &[
            (4096, 1024, 1 << 30, Some((4096, 8))),
            (131_072, 131_072, 8 << 30, Some((16_384, 4))),
            (4096, 131_072, 1 << 30, Some((4096, 2))),
            (8192, 131_072, 1 << 30, Some((8192, 1))),
            (8192, 131_072, 800 << 20, Some((6400, 1))),
            (8192, 131_072, 32 << 20, None),
            (256, 1, 1 << 20, Some((256, 8))),
            (8192, 0, 1 << 30, Some((8192, 8))),
        ];
        for (trained, token_bytes, memory, expected) in table {
            let plan = plan(Needs { trained: *trained, token_bytes: *token_bytes }, *memory);
            assert_eq!(plan.map(|p| (p.context, p.sequences)), *expected, "{trained} {token_bytes} {memory}");
        }
    }
}
