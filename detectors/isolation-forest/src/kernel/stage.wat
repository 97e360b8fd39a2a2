;; Narrow forests: a row's ranks fit one or two registers. A block is the top four levels of a subtree: 16 bytes of
;; feature numbers, 16 of thresholds, 16 exits (words: the address of the next block, or units), and for two registers
;; 16 bytes of feature numbers for the second; a number of 128 or more gathers 0, which relaxed swizzle promises. All 15
;; comparisons are made at once; the table at @{EXITS} turns their bits into the exit.

@{TWO_1}
@{TWO_2}
@{TWO_1_ONE}
@{TWO_2_ONE}
@{MANY_1}
@{MANY_2}

;; Adds the units of the trees of all groups to the sums of `count` rows. A group is 20 bytes: its map from positions to
;; ranks, trees of two blocks' depth (address, count), other trees (address, count).
(func $stage (param $rows i32) (param $count i32) (param $out i32)
  (local $group i32) (local $end i32) (local $n i32) (local $padded i32) (local $positions i32) (local $ranks i32)
  (local.set $positions (i32.load offset=@{POSITIONS} (i32.const 0)))
  (local.set $ranks (i32.load offset=@{RANKS} (i32.const 0)))
  (local.set $end (i32.load offset=@{GROUPS_END} (i32.const 0)))
  (loop $next_block
    (local.set $n (select (local.get $count) (i32.const @{BLOCK}) (i32.lt_u (local.get $count) (i32.const @{BLOCK}))))
    (local.set $padded (i32.and (i32.add (local.get $n) (i32.const 3)) (i32.const -4)))
    (call $positions (local.get $rows) (local.get $n) (local.get $positions))
    (local.set $group (i32.load offset=@{GROUPS} (i32.const 0)))
    (loop $next_group
      (call $ranks_by_row (local.get $positions) (local.get $n) (local.get $ranks) (i32.load (local.get $group)))
      (if (i32.eq (i32.load offset=@{STAGE_ROW} (i32.const 0)) (i32.const 16))
        (then
          (if (i32.eq (local.get $n) (i32.const 1))
            (then
              (call $two_1_one (i32.load offset=4 (local.get $group)) (i32.load offset=8 (local.get $group))
                (local.get $ranks) (local.get $out)))
            (else
              (call $two_1 (i32.load offset=4 (local.get $group)) (i32.load offset=8 (local.get $group))
                (local.get $ranks) (local.get $padded) (local.get $out))))
          (call $many_1 (i32.load offset=12 (local.get $group)) (i32.load offset=16 (local.get $group))
            (local.get $ranks) (local.get $n) (local.get $out)))
        (else
          (if (i32.eq (local.get $n) (i32.const 1))
            (then
              (call $two_2_one (i32.load offset=4 (local.get $group)) (i32.load offset=8 (local.get $group))
                (local.get $ranks) (local.get $out)))
            (else
              (call $two_2 (i32.load offset=4 (local.get $group)) (i32.load offset=8 (local.get $group))
                (local.get $ranks) (local.get $padded) (local.get $out))))
          (call $many_2 (i32.load offset=12 (local.get $group)) (i32.load offset=16 (local.get $group))
            (local.get $ranks) (local.get $n) (local.get $out))))
      (br_if $next_group (i32.lt_u (local.tee $group (i32.add (local.get $group) (i32.const 20))) (local.get $end))))
    (local.set $out (i32.add (local.get $out) (i32.shl (local.get $n) (i32.const 3))))
    (local.set $rows
      (i32.add (local.get $rows)
        (i32.shl (i32.mul (local.get $n) (i32.load offset=@{COLUMNS} (i32.const 0))) (i32.const 3))))
    (br_if $next_block (local.tee $count (i32.sub (local.get $count) (local.get $n))))))
