//! One function of the assembly, its loops, and what is wrong with them.

use std::collections::HashMap;

/// A function: its instructions, and which of them its labels stand before.
#[derive(Debug, Default)]
pub(super) struct Function {
    symbol: String,
    /// As they stand in the file, labels among them.
    pub(super) lines: Vec<String>,
    pub(super) instructions: Vec<String>,
    labels: HashMap<String, usize>,
}

/// The functions of a file of assembly.
pub(super) fn split(text: &str) -> Vec<Function> {
    let (mut all, mut function) = (Vec::new(), None::<Function>);
    for line in text.lines() {
        if line.starts_with('_') && line.ends_with(':') {
            all.extend(function.take());
            function =
                Some(Function { symbol: line.trim_end_matches(':').to_string(), ..Function::default() });
        } else if line.starts_with(".Lfunc_end") {
            all.extend(function.take());
        } else if let Some(function) = &mut function {
            function.push(line);
        }
    }
    all.extend(function);
    all
}

/// From so many multiply-adds on, a body has room for stores that are not of vectors.
const TIGHT: usize = 24;

impl Function {
    fn push(&mut self, line: &str) {
        if let Some(label) = line.strip_suffix(':').filter(|label| label.starts_with(".L")) {
            self.labels.insert(label.to_string(), self.instructions.len());
        } else if line.starts_with(|c: char| c.is_whitespace()) && !line.trim_start().starts_with(['.', '#'])
        {
            self.instructions.push(line.trim().replace('\t', " "));
        } else {
            return;
        }
        self.lines.push(line.to_string());
    }

    /// Whether it is that function of `generated`. Both manglings write a path as its parts, each with its length before it.
    pub(super) fn is(&self, isa: &str, name: &str) -> bool {
        let path = format!("9generated{}{isa}{}{name}", isa.len(), name.len());
        let end = self.symbol.find(&path).map(|at| &self.symbol[at + path.len()..]);
        end.is_some_and(|rest| !rest.starts_with("_"))
    }

    /// From a label to a jump back to it, both included.
    fn loops(&self) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        for (at, instruction) in self.instructions.iter().enumerate().filter(|(_, i)| i.starts_with('j')) {
            let label = instruction.split(' ').nth(1).unwrap_or("");
            if let Some(&start) = self.labels.get(label).filter(|&&start| start <= at) {
                all.push((start, at));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The innermost loops in which there are multiply-adds.
    fn innermost(&self) -> Vec<(usize, usize)> {
        let has_fma =
            |&(start, end): &(usize, usize)| self.instructions[start..=end].iter().any(|i| is_fma(i));
        let all: Vec<_> = self.loops().into_iter().filter(has_fma).collect();
        let is_around = |outer: (usize, usize), inner: (usize, usize)| {
            outer != inner && outer.0 <= inner.0 && inner.1 <= outer.1
        };
        all.iter().copied().filter(|&one| !all.iter().any(|&other| is_around(one, other))).collect()
    }

    /// Straight runs of instructions, between labels and jumps.
    fn straight(&self) -> Vec<(usize, usize)> {
        let mut starts: Vec<usize> = self.labels.values().copied().collect();
        let is_break = |i: &&String| i.starts_with('j') || i.starts_with("ret") || is_call(i);
        starts.extend(
            (0..self.instructions.len()).filter(|&i| is_break(&&self.instructions[i])).map(|i| i + 1),
        );
        starts.extend([0, self.instructions.len()]);
        starts.sort_unstable();
        starts.dedup();
        starts.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// Where the products are: the k loops, and outside of them the straight runs that are left of one, from the first multiply-add
    /// to the last. A k loop is one block: with a jump in it, it is that of tiles, or a block that was moved out of the way and
    /// jumps back.
    fn products(&self, is_map: bool) -> Vec<(usize, usize)> {
        let is_block =
            |body: &[String]| !body[..body.len() - 1].iter().any(|i| i.starts_with('j') || is_call(i));
        let is_k = |body: &[String]| is_map || (is_product(body) && is_block(body));
        let inner = self.innermost().into_iter().map(|(start, end)| (start, end + 1));
        let mut all: Vec<_> = inner.filter(|&(start, end)| is_k(&self.instructions[start..end])).collect();
        let loops = all.clone();
        let is_within = |run: &(usize, usize)| loops.iter().any(|k| k.0 <= run.0 && run.1 <= k.1);
        let runs = self.straight().into_iter().filter(|run| !is_map && !is_within(run));
        all.extend(runs.filter_map(|(start, end)| {
            let body = &self.instructions[start..end];
            let first = body.iter().position(|i| is_fma(i))?;
            let last = body.iter().rposition(|i| is_fma(i))?;
            is_product(body).then_some((start + first, start + last + 1))
        }));
        all
    }

    /// What is wrong, one phrase each.
    pub(super) fn check(&self, register: &str, is_map: bool, adds_with: Option<&str>) -> Vec<String> {
        let mut wrong = Vec::new();
        for instruction in self.instructions.iter().filter(|i| is_call(i) || is_tail_call(i)) {
            if !instruction.contains("run_apart") {
                let callee = instruction.split(' ').nth(1).unwrap_or("").trim_end_matches("@GOTPCREL(%rip)");
                wrong.push(format!("calls {}", short(callee)));
            }
        }
        wrong.sort_unstable();
        wrong.dedup();
        if let Some(add) = adds_with {
            if !self.instructions.iter().any(|i| i.starts_with(add) && i.contains(register)) {
                wrong.push(format!("no {add} on {register}"));
            }
            return wrong;
        }
        let (mut packed, loops) = (0, self.loops());
        for (start, end) in self.products(is_map) {
            let body = &self.instructions[start..end];
            let fma = body.iter().filter(|i| is_fma(i));
            let (whole, part): (Vec<_>, Vec<_>) =
                fma.partition(|i| i.contains("ps ") && i.contains(register));
            packed += whole.len();
            if let Some(other) = part.first() {
                wrong.push(format!("{other:?} in a k loop"));
            }
            // An address put by among many multiply-adds costs nothing; a vector does. Nor does a sum behind the loop that is
            // finished: one that is read again was not.
            let is_loop = loops.contains(&(start, end - 1));
            let is_spill = |at: usize| {
                let slot = stack_store(&body[at]);
                slot.is_some_and(|slot| match is_loop {
                    true => whole.len() < TIGHT || body[at].starts_with("vmov"),
                    false => body[at + 1..].iter().any(|i| i.contains(&format!("{slot}, "))),
                })
            };
            let stores = (0..body.len()).filter(|&at| is_spill(at)).count();
            if stores > 0 {
                wrong.push(format!("{stores} stack store(s) among {} multiply-adds", whole.len()));
            }
        }
        if packed == 0 {
            wrong.push(format!("no packed multiply-add on {register} in a loop over k"));
        }
        wrong
    }
}

fn is_fma(instruction: &str) -> bool {
    ["vfmadd", "vfmsub", "vfnmadd", "vfnmsub"].iter().any(|name| instruction.starts_with(name))
}

fn is_call(instruction: &str) -> bool {
    instruction.starts_with("call")
}

/// A jump to something that is no label.
fn is_tail_call(instruction: &str) -> bool {
    let target = instruction.strip_prefix("jmp").map(|rest| rest.trim_start_matches('q').trim());
    target.is_some_and(|target| !target.starts_with(".L") && !target.starts_with("*%"))
}

/// Whether there is an element of a row in every lane: a broadcast from memory that is no constant and not on the stack.
fn is_product(body: &[String]) -> bool {
    let is_data =
        |i: &str| i.contains('(') && !["(%rip)", "(%rsp", "(%rbp"].iter().any(|own| i.contains(own));
    let is_broadcast = |i: &String| i.starts_with("vbroadcastss") || i.contains("{1to");
    body.iter().any(|i| is_fma(i)) && body.iter().any(|i| is_broadcast(i) && is_data(i))
}

/// Where on the stack an instruction writes a register.
fn stack_store(instruction: &str) -> Option<&str> {
    let (name, operands) = instruction.split_once(' ')?;
    let is_move = name.starts_with("mov") || name.starts_with("vmov");
    let destination = operands.rsplit_once(", ").map_or(operands, |(_, last)| last);
    let is_stack = destination.contains("(%rsp") || destination.contains("(%rbp");
    (name.starts_with("push") || (is_move && is_stack)).then_some(destination)
}

/// The last parts of a mangled name.
fn short(symbol: &str) -> String {
    let name = symbol.trim_start_matches('*');
    let parts: Vec<&str> = name.split(|c: char| c.is_ascii_digit()).filter(|part| part.len() > 3).collect();
    let kept = parts.iter().rev().find(|part| !part.starts_with('h') || part.contains('_'));
    kept.map_or(name, |part| part.trim_end_matches(['E', '_'])).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(body: &str) -> Function {
        let text = format!("_ZN9generated6avx5123fwd17h0123E:\n{body}\tretq\n.Lfunc_end0:\n");
        let mut all = split(&text);
        assert!(all.len() == 1 && all[0].is("avx512", "fwd") && !all[0].is("avx512", "fw"));
        all.remove(0)
    }

    const GOOD: &str = ".LBB0_1:\n\tvbroadcastss\t(%rax,%rcx,4), %zmm1\n\tvfmadd231ps\t(%rdx), %zmm1, %zmm0\n\taddq\t$1, %rcx\n\tjne\t.LBB0_1\n";

    #[test]
    fn a_good_loop_passes() {
        assert_eq!(function(GOOD).check("%zmm", false, None), [""; 0]);
        let outside = format!(
            "\tmovq\t%rax, 8(%rsp)\n{GOOD}\tvmovups\t%zmm0, 64(%rsp)\n\tcallq\t*_ZN4simd9run_apart17h00E@GOTPCREL(%rip)\n"
        );
        assert_eq!(function(&outside).check("%zmm", false, None), [""; 0]);
    }

    #[test]
    fn spills_calls_and_narrow_vectors_do_not() {
        let check = |text: &str| function(text).check("%zmm", false, None);
        assert_eq!(check(&GOOD.replace("\taddq", "\tvmovups\t%zmm3, 64(%rsp)\n\taddq")).len(), 1);
        assert_eq!(check(&GOOD.replace("\taddq", "\tmovq\t%rsi, 8(%rsp)\n\taddq")).len(), 1);
        assert_eq!(check(&GOOD.replace("\taddq", "\tmovq\t8(%rsp), %rsi\n\taddq")), [""; 0]);
        assert_eq!(check(&GOOD.replace("zmm", "ymm")).len(), 2);
        assert_eq!(check(&GOOD.replace("231ps", "231ss")).len(), 2);
        let panics = format!("{GOOD}\tcallq\t*_RNvNtCs_4core9panicking18panic_bounds_check@GOTPCREL(%rip)\n");
        assert_eq!(check(&panics), ["calls panic_bounds_check"]);
        assert_eq!(check(&format!("{GOOD}\tjmp\tmemcpy@PLT\n")).len(), 1);
        assert_eq!(check("\tvaddps\t%zmm0, %zmm1, %zmm2\n").len(), 1);
    }

    #[test]
    fn a_loop_that_was_unrolled_away_is_a_run() {
        let run = "\tvbroadcastss\t(%rax), %zmm1\n\tvfmadd231ps\t(%rdx), %zmm1, %zmm0\n\tvfmadd231ps\t64(%rdx), %zmm1, %zmm2\n";
        let tile = |run: &str| {
            format!(".LBB0_1:\n{run}\tvmovups\t%zmm0, (%rsp)\n\tcallq\t*run_apart\n\tjne\t.LBB0_1\n")
        };
        assert_eq!(function(&tile(run)).check("%zmm", false, None), [""; 0]);
        let put_by = run.replacen("%zmm0\n", "%zmm0\n\tvmovaps\t%zmm9, 8(%rsp)\n", 1);
        assert_eq!(function(&tile(&put_by)).check("%zmm", false, None), [""; 0]);
        let read_again = put_by.replacen("8(%rsp)\n", "8(%rsp)\n\tvmovaps\t8(%rsp), %zmm5\n", 1);
        assert_eq!(function(&tile(&read_again)).check("%zmm", false, None).len(), 1);
    }
}
