//! The parts of the kernel's text that are repeated: for each lane, each row, each register of ranks.

/// Positions of four values where one window of thresholds holds the answer.
pub(super) fn positions_one() -> String {
    (0..4)
        .map(|lane| {
            format!(
                "(local.set $p (i32.load16_u (i32x4.extract_lane {lane} (local.get $at))))
(i32.store16 offset={to} (local.get $to)
  (i32.add (local.get $p)
    (i32.popcnt (i32x4.bitmask
      (f32x4.lt
        (v128.load (i32.add (local.get $thresholds) (i32.shl (local.get $p) (i32.const 2))))
        (f32x4.splat (f32x4.extract_lane {lane} (local.get $x))))))))\n",
                to = lane * 2
            )
        })
        .collect()
}

/// The same with two windows.
pub(super) fn positions_two() -> String {
    (0..4)
        .map(|lane| {
            format!(
                "(local.set $p (i32.load16_u (i32x4.extract_lane {lane} (local.get $at))))
(local.set $s (f32x4.splat (f32x4.extract_lane {lane} (local.get $x))))
(local.set $w (i32.add (local.get $thresholds) (i32.shl (local.get $p) (i32.const 2))))
(i32.store16 offset={to} (local.get $to)
  (i32.add (local.get $p)
    (i32.popcnt (i16x8.bitmask
      (i16x8.narrow_i32x4_s
        (f32x4.lt (v128.load (local.get $w)) (local.get $s))
        (f32x4.lt (v128.load offset=16 (local.get $w)) (local.get $s)))))))\n",
                to = lane * 2
            )
        })
        .collect()
}

/// The same with as many windows as the features need.
pub(super) fn positions_many() -> String {
    (0..4)
        .map(|lane| {
            format!(
                "(local.set $p (i32.load16_u (i32x4.extract_lane {lane} (local.get $at))))
(local.set $found (local.get $p))
(local.set $s (f32x4.splat (f32x4.extract_lane {lane} (local.get $x))))
(local.set $p (i32.add (local.get $thresholds) (i32.shl (local.get $p) (i32.const 2))))
(local.set $w (local.get $windows))
(loop $window{lane}
  (local.set $found
    (i32.add (local.get $found) (i32.popcnt (i32x4.bitmask (f32x4.lt (v128.load (local.get $p)) (local.get $s))))))
  (local.set $p (i32.add (local.get $p) (i32.const 16)))
  (br_if $window{lane} (local.tee $w (i32.sub (local.get $w) (i32.const 1)))))
(i32.store16 offset={to} (local.get $to) (local.get $found))\n",
                to = lane * 2
            )
        })
        .collect()
}

/// Ranks of `count` rows by row or by feature: `row` bytes from a row to the next, `slot` from a feature to the next.
pub(super) fn ranks(name: &str, row: &str, slot: u32) -> String {
    let four: String = (0..4)
        .map(|lane| {
            format!(
                "(i32.store8 offset={to} (local.get $slot)
  (i32.load8_u (i32.add (local.get $map) (i32.load16_u offset={from} (local.get $from)))))\n",
                to = lane * slot,
                from = lane * 2
            )
        })
        .collect();
    format!(
        "(func ${name} (param $from i32) (param $count i32) (param $to i32) (param $map i32)
  (local $end i32) (local $bytes i32) (local $slot i32)
  (local.set $bytes (i32.load offset=@{{POSITIONS_BYTES}} (i32.const 0)))
  (loop $next_row
    (local.set $end (i32.add (local.get $from) (local.get $bytes)))
    (local.set $slot (local.get $to))
    (loop $four
{four}
      (local.set $slot (i32.add (local.get $slot) (i32.const {step})))
      (br_if $four (i32.lt_u (local.tee $from (i32.add (local.get $from) (i32.const 8))) (local.get $end))))
    (local.set $to (i32.add (local.get $to) {row}))
    (br_if $next_row (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))",
        step = slot * 4
    )
}

/// `$m`: four times the exit of a block of four levels, for a row's ranks in `$v` (and `$v1`).
fn exit(registers: u32, indices: [&str; 2], thresholds: &str) -> String {
    let mut gathered = format!("(i8x16.relaxed_swizzle (local.get $v) {})", indices[0]);
    if registers == 2 {
        gathered = format!(
            "(v128.or {gathered} (i8x16.relaxed_swizzle (local.get $v1) {}))",
            indices[1]
        );
    }
    format!("(i32.load8_u offset=@{{EXITS}} (i8x16.bitmask (i8x16.gt_s {gathered} {thresholds})))")
}

/// The exit of the block at a local.
fn exit_at_block(registers: u32, block: &str) -> String {
    let first = format!("(v128.load (local.get ${block}))");
    let second = format!("(v128.load offset=96 (local.get ${block}))");
    let thresholds = format!("(v128.load offset=16 (local.get ${block}))");
    exit(registers, [&first, &second], &thresholds)
}

fn load_row(registers: u32, row: u32, at: &str) -> String {
    let offset = row * registers * 16;
    let mut text = format!("(local.set $v (v128.load offset={offset} (local.get ${at})))\n");
    if registers == 2 {
        let offset = offset + 16;
        text += &format!("(local.set $v1 (v128.load offset={offset} (local.get ${at})))\n");
    }
    text
}

const STAGE_LOCALS: &str =
    "(local $v v128) (local $v1 v128) (local $b i32) (local $p i32) (local $q i32)
  (local $end i32) (local $s i32) (local $sum i64)";

/// The next block of a row at a tree whose root is held in locals: indices `$i`, `$i1`, thresholds `$t`, address `$root`,
/// all with a suffix.
fn second_block(registers: u32, suffix: &str) -> String {
    let first = format!("(local.get $i{suffix})");
    let second = format!("(local.get $i1{suffix})");
    let exit = exit(
        registers,
        [&first, &second],
        &format!("(local.get $t{suffix})"),
    );
    format!("(i32.load offset=32 (i32.add (local.get $root{suffix}) {exit}))")
}

/// Puts the root of a tree, `at` bytes into the list, into locals.
fn load_root(registers: u32, suffix: &str, at: u32) -> String {
    let mut text = format!(
        "(local.set $root{suffix} (i32.load offset={at} (local.get $tree)))
(local.set $i{suffix} (v128.load (local.get $root{suffix})))
(local.set $t{suffix} (v128.load offset=16 (local.get $root{suffix})))\n"
    );
    if registers == 2 {
        text +=
            &format!("(local.set $i1{suffix} (v128.load offset=96 (local.get $root{suffix})))\n");
    }
    text
}

/// Trees of two blocks' depth for a block of rows, a multiple of four: `$two_<registers>`. Two trees at a time share the
/// row and the sum; the list is filled up.
pub(super) fn two(registers: u32) -> String {
    let rows: String = (0..4)
        .map(|row| {
            format!(
                "{load}(local.set $b {first})
(local.set $c {other_first})
(i64.store offset={to} (local.get $q)
  (i64.add (i64.load offset={to} (local.get $q))
    (i64.add
      (i64.load32_u offset=32 (i32.add (local.get $b) {second}))
      (i64.load32_u offset=32 (i32.add (local.get $c) {other_second})))))\n",
                load = load_row(registers, row, "p"),
                first = second_block(registers, ""),
                other_first = second_block(registers, "_other"),
                second = exit_at_block(registers, "b"),
                other_second = exit_at_block(registers, "c"),
                to = row * 8
            )
        })
        .collect();
    format!(
        "(func $two_{registers} (param $tree i32) (param $trees i32) (param $ranks i32) (param $count i32) (param $out i32)
  {STAGE_LOCALS} (local $c i32) (local $trees_end i32)
  (local $root i32) (local $i v128) (local $i1 v128) (local $t v128)
  (local $root_other i32) (local $i_other v128) (local $i1_other v128) (local $t_other v128)
  (if (i32.eqz (local.get $trees)) (then (return)))
  (local.set $end (i32.add (local.get $out) (i32.shl (local.get $count) (i32.const 3))))
  (local.set $trees_end (i32.add (local.get $tree) (i32.shl (local.get $trees) (i32.const 2))))
  (loop $next_trees
{root}{other_root}
    (local.set $p (local.get $ranks))
    (local.set $q (local.get $out))
    (loop $four
{rows}
      (local.set $p (i32.add (local.get $p) (i32.const {step})))
      (br_if $four (i32.lt_u (local.tee $q (i32.add (local.get $q) (i32.const 32))) (local.get $end))))
    (br_if $next_trees
      (i32.lt_u (local.tee $tree (i32.add (local.get $tree) (i32.const 8))) (local.get $trees_end)))))",
        root = load_root(registers, "", 0),
        other_root = load_root(registers, "_other", 4),
        step = registers * 64
    )
}

/// The same trees for one row, four trees at a time: `$two_<registers>_one`. The list is filled up to fours.
pub(super) fn two_one(registers: u32) -> String {
    let trees: String = (0..4)
        .map(|tree| {
            let exit = exit_at_block(registers, "b");
            format!(
                "(local.set $b (i32.load offset={at} (local.get $tree)))
(local.set $b (i32.load offset=32 (i32.add (local.get $b) {exit})))
(local.set $sum (i64.add (local.get $sum) (i64.load32_u offset=32 (i32.add (local.get $b) {exit}))))\n",
                at = tree * 4
            )
        })
        .collect();
    format!(
        "(func $two_{registers}_one (param $tree i32) (param $trees i32) (param $ranks i32) (param $out i32)
  {STAGE_LOCALS}
  (if (i32.eqz (local.get $trees)) (then (return)))
  (local.set $end (i32.add (local.get $tree) (i32.shl (local.get $trees) (i32.const 2))))
  {load}
  (loop $four
{trees}
    (br_if $four (i32.lt_u (local.tee $tree (i32.add (local.get $tree) (i32.const 16))) (local.get $end))))
  (i64.store (local.get $out) (i64.add (i64.load (local.get $out)) (local.get $sum))))",
        load = load_row(registers, 0, "ranks")
    )
}

/// Trees of any number of blocks' depth: `$many_<registers>`. A tree is its first block and the number of stages.
pub(super) fn many(registers: u32) -> String {
    format!(
        "(func $many_{registers} (param $tree i32) (param $trees i32) (param $ranks i32) (param $count i32) (param $out i32)
  {STAGE_LOCALS}
  (if (i32.eqz (local.get $trees)) (then (return)))
  (local.set $end (i32.add (local.get $out) (i32.shl (local.get $count) (i32.const 3))))
  (loop $next_tree
    (local.set $p (local.get $ranks))
    (local.set $q (local.get $out))
    (loop $next_row
      {load}
      (local.set $b (i32.load (local.get $tree)))
      (local.set $s (i32.load offset=4 (local.get $tree)))
      (loop $stage
        (local.set $b (i32.load offset=32 (i32.add (local.get $b) {exit})))
        (br_if $stage (local.tee $s (i32.sub (local.get $s) (i32.const 1)))))
      (i64.store (local.get $q) (i64.add (i64.load (local.get $q)) (i64.extend_i32_u (local.get $b))))
      (local.set $p (i32.add (local.get $p) (i32.const {step})))
      (br_if $next_row (i32.lt_u (local.tee $q (i32.add (local.get $q) (i32.const 8))) (local.get $end))))
    (local.set $tree (i32.add (local.get $tree) (i32.const 8)))
    (br_if $next_tree (local.tee $trees (i32.sub (local.get $trees) (i32.const 1))))))",
        load = load_row(registers, 0, "p"),
        exit = exit_at_block(registers, "b"),
        step = registers * 16
    )
}

/// Bottom-up selection of leaf numbers for 64 rows: the body of the loop over `nodes` nodes.
pub(super) fn select(nodes: u32) -> String {
    (0..nodes)
        .map(|node| {
            let at = node * 16;
            let vectors: String = (0..64)
                .step_by(16)
                .map(|offset| {
                    format!(
                        "(v128.store offset={to} (local.get $to)
  (v128.bitselect (v128.load offset={offset} (local.get $a)) (v128.load offset={offset} (local.get $b))
    (i8x16.gt_s (local.get $t) (v128.load offset={offset} (local.get $r)))))\n",
                        to = node * 64 + offset
                    )
                })
                .collect();
            format!(
                "(local.set $r (i32.load offset={at} (local.get $node)))
(local.set $a (i32.load offset={left} (local.get $node)))
(local.set $b (i32.load offset={right} (local.get $node)))
(local.set $t (v128.load8_splat offset={threshold} (local.get $node)))
{vectors}",
                left = at + 4,
                right = at + 8,
                threshold = at + 12
            )
        })
        .collect()
}

/// Adds the units of the leaf numbers of eight rows to their sums.
pub(super) fn add_leaves() -> String {
    (0..8)
        .map(|row| {
            format!(
                "(i64.store offset={to} (local.get $q)
  (i64.add (i64.load offset={to} (local.get $q))
    (i64.load32_u (i32.add (local.get $units) (i32.shl (i32.load8_u offset={row} (local.get $p)) (i32.const 2))))))\n",
                to = row * 8
            )
        })
        .collect()
}
