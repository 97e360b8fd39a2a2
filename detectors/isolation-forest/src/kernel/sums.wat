;; From rows to sums of units, and from sums to scores.

;; Sums for `count` rows into `out`, which has room for a padded block: the fast path of the forest, if it has one and
;; there are rows enough for it, then the scalar walk for the trees that are left.
(func $sums (param $rows i32) (param $count i32) (param $out i32)
  (local $kind i32)
  (call $start (local.get $out) (local.get $count))
  (if (i32.eqz (local.get $count)) (then (return)))
  (local.set $kind (i32.load offset=@{KIND} (i32.const 0)))
  (if (i32.eq (local.get $kind) (i32.const @{KIND_LANE}))
    (then
      (if (i32.ge_u (local.get $count) (i32.const @{LANE_ROWS}))
        (then (call $lane (local.get $rows) (local.get $count) (local.get $out)))
        (else (local.set $kind (i32.const 0))))))
  (if (i32.eq (local.get $kind) (i32.const @{KIND_STAGE}))
    (then (call $stage (local.get $rows) (local.get $count) (local.get $out))))
  (if (local.get $kind)
    (then
      (call $walk_rows (local.get $rows) (local.get $count) (local.get $out)
        (i32.load offset=@{REST} (i32.const 0)) (i32.load offset=@{REST_COUNT} (i32.const 0))))
    (else
      (call $walk_rows (local.get $rows) (local.get $count) (local.get $out)
        (i32.load offset=@{ALL} (i32.const 0)) (i32.load offset=@{ALL_COUNT} (i32.const 0))))))

;; Every sum begins with the units of the trees that are a single leaf.
(func $start (param $out i32) (param $count i32)
  (local $base v128) (local $end i32)
  (local.set $base (v128.load64_splat offset=@{BASE} (i32.const 0)))
  (local.set $end (i32.add (local.get $out) (i32.shl (local.get $count) (i32.const 3))))
  (loop $four
    (v128.store (local.get $out) (local.get $base))
    (v128.store offset=16 (local.get $out) (local.get $base))
    (br_if $four (i32.lt_u (local.tee $out (i32.add (local.get $out) (i32.const 32))) (local.get $end)))))

;; Replaces sums of units by scores `2^-(sum · rate)`, two at a time, in the order of operations that `exp2.rs` fixes.
;; A sum is below 2^52, so setting the exponent of 2^52 and subtracting it converts without rounding; the same way
;; back makes the bits of `2^whole`.
(func $finish (param $at i32) (param $count i32)
  (local $end i32) (local $x v128) (local $whole v128) (local $part v128) (local $sum v128) (local $rate v128)
  (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 3))))
  (local.set $rate (v128.load64_splat offset=@{RATE} (i32.const 0)))
  (loop $two
    (local.set $x
      (f64x2.pmax
        (f64x2.sub (v128.const f64x2 0 0)
          (f64x2.mul
            (f64x2.sub
              (v128.or (v128.load (local.get $at)) (v128.const f64x2 0x1p52 0x1p52))
              (v128.const f64x2 0x1p52 0x1p52))
            (local.get $rate)))
        (v128.const f64x2 @{LOWEST} @{LOWEST})))
    (local.set $whole (f64x2.nearest (local.get $x)))
    (local.set $part (f64x2.sub (local.get $x) (local.get $whole)))
    (local.set $sum (v128.const f64x2 0 0))
    @{HORNER}
    (v128.store (local.get $at)
      (f64x2.mul (local.get $sum)
        (i64x2.shl (f64x2.add (local.get $whole) (v128.const f64x2 0x1.00000000003ffp52 0x1.00000000003ffp52)) (i32.const 52))))
    (br_if $two (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $end)))))
