;; The scalar walk: any forest, any number of rows. A node is 16 bytes: threshold f32, byte offset of the feature's value
;; in a row, address of the right child, units; the left child follows its parent. A leaf's threshold is NaN and its
;; right child is itself, so that a walk which goes on stays there.

;; The sum of units over quads of trees for one row. A quad is 20 bytes: four roots, then the depth to walk.
(func $walk (param $row i32) (param $quad i32) (param $count i32) (result i64)
  (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $steps i32) (local $sum i64)
  (if (i32.eqz (local.get $count)) (then (return (i64.const 0))))
  (loop $quads
    (local.set $a (i32.load (local.get $quad)))
    (local.set $b (i32.load offset=4 (local.get $quad)))
    (local.set $c (i32.load offset=8 (local.get $quad)))
    (local.set $d (i32.load offset=12 (local.get $quad)))
    (local.set $steps (i32.load offset=16 (local.get $quad)))
    (loop $step
      @{STEP a}
      @{STEP b}
      @{STEP c}
      @{STEP d}
      (br_if $step (local.tee $steps (i32.sub (local.get $steps) (i32.const 1)))))
    (local.set $sum
      (i64.add
        (i64.add (local.get $sum)
          (i64.add (i64.load32_u offset=12 (local.get $a)) (i64.load32_u offset=12 (local.get $b))))
        (i64.add (i64.load32_u offset=12 (local.get $c)) (i64.load32_u offset=12 (local.get $d)))))
    (local.set $quad (i32.add (local.get $quad) (i32.const 20)))
    (br_if $quads (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
  (local.get $sum))

;; Adds to the sum of each row the units of some quads.
(func $walk_rows (param $rows i32) (param $count i32) (param $out i32) (param $quad i32) (param $quads i32)
  (local $stride i32)
  (if (i32.or (i32.eqz (local.get $count)) (i32.eqz (local.get $quads))) (then (return)))
  (local.set $stride (i32.shl (i32.load offset=@{COLUMNS} (i32.const 0)) (i32.const 3)))
  (loop $next_row
    (i64.store (local.get $out)
      (i64.add (i64.load (local.get $out)) (call $walk (local.get $rows) (local.get $quad) (local.get $quads))))
    (local.set $out (i32.add (local.get $out) (i32.const 8)))
    (local.set $rows (i32.add (local.get $rows) (local.get $stride)))
    (br_if $next_row (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; Attributions of each row: whole numbers of units per feature first, in place, then bits.
(func $attribute (param $rows i32) (param $count i32) (param $out i32)
  (local $stride i32) (local $end i32) (local $rate f64)
  (if (i32.eqz (local.get $count)) (then (return)))
  (local.set $stride (i32.shl (i32.load offset=@{COLUMNS} (i32.const 0)) (i32.const 3)))
  (local.set $rate (f64.load offset=@{RATE} (i32.const 0)))
  (loop $next_row
    (memory.fill (local.get $out) (i32.const 0) (local.get $stride))
    (call $changes (local.get $rows) (local.get $out))
    (local.set $rows (i32.add (local.get $rows) (local.get $stride)))
    (local.set $end (i32.add (local.get $out) (local.get $stride)))
    (loop $convert
      (f64.store (local.get $out)
        (f64.sub (f64.const 0) (f64.mul (f64.convert_i64_s (i64.load (local.get $out))) (local.get $rate))))
      (br_if $convert (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 8))) (local.get $end))))
    (br_if $next_row (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; Adds, for every split on the paths of one row, the change of expected units to the split's feature.
(func $changes (param $row i32) (param $out i32)
  (local $root i32) (local $end i32) (local $node i32) (local $child i32) (local $slot i32)
  (local.set $root (i32.load offset=@{ROOTS} (i32.const 0)))
  (local.set $end
    (i32.add (local.get $root) (i32.shl (i32.load offset=@{TREES} (i32.const 0)) (i32.const 2))))
  (loop $trees
    (local.set $node (i32.load (local.get $root)))
    (block $leaf
      (loop $down
        (br_if $leaf (i32.eq (i32.load offset=8 (local.get $node)) (local.get $node)))
        (local.set $child (local.get $node))
        @{STEP child}
        (local.set $slot (i32.add (local.get $out) (i32.load offset=4 (local.get $node))))
        (i64.store (local.get $slot)
          (i64.add (i64.load (local.get $slot))
            (i64.sub (i64.load32_u offset=12 (local.get $child)) (i64.load32_u offset=12 (local.get $node)))))
        (local.set $node (local.get $child))
        (br $down)))
    (br_if $trees (i32.lt_u (local.tee $root (i32.add (local.get $root) (i32.const 4))) (local.get $end)))))
