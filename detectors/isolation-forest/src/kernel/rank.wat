;; From values to ranks. All thresholds of the fast paths lie in one array, sorted feature by feature; a value's position
;; is the number of thresholds before the first one of its feature that it does not exceed. A linear bucket gives a
;; position near it, a comparison with the thresholds from there on the exact one: every operation is monotone, so no
;; rounding can put a value on the wrong side. NaN takes the last bucket, which lies behind all thresholds.

;; Positions (u16) of `count` rows. The bucket is the sum of two pieces, each linear between its limits, so that a dense
;; stretch of thresholds gets buckets of its own. Four features are 128 bytes: for each piece f32x4 of its lowest value,
;; of buckets per value, of its last bucket; u32x4 of tables less twice the bits of 2^23; windows of four thresholds.
(func $positions (param $rows i32) (param $count i32) (param $to i32)
  (local $quad i32) (local $quads i32) (local $end i32) (local $row i32) (local $stride i32)
  (local $thresholds i32) (local $x v128) (local $at v128) (local $p i32) (local $windows i32) (local $w i32)
  (local $s v128) (local $found i32)
  (local.set $quads (i32.load offset=@{FEATURES} (i32.const 0)))
  (local.set $end (i32.add (local.get $quads) (i32.load offset=@{FEATURES_BYTES} (i32.const 0))))
  (local.set $stride (i32.shl (i32.load offset=@{COLUMNS} (i32.const 0)) (i32.const 3)))
  (local.set $thresholds (i32.load offset=@{THRESHOLDS} (i32.const 0)))
  (loop $next_row
    (local.set $quad (local.get $quads))
    (local.set $row (local.get $rows))
    (loop $four
      (local.set $x
        (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
          (f32x4.demote_f64x2_zero (v128.load (local.get $row)))
          (f32x4.demote_f64x2_zero (v128.load offset=16 (local.get $row)))))
      (local.set $at
        (i32x4.add
          (i32x4.shl
            (f32x4.add
              (f32x4.add
                (f32x4.pmax
                  (f32x4.pmin
                    (v128.load offset=32 (local.get $quad))
                    (f32x4.mul
                      (f32x4.sub (local.get $x) (v128.load (local.get $quad)))
                      (v128.load offset=16 (local.get $quad))))
                  (v128.const f32x4 0 0 0 0))
                (f32x4.pmax
                  (f32x4.pmin
                    (v128.load offset=80 (local.get $quad))
                    (f32x4.mul
                      (f32x4.sub (local.get $x) (v128.load offset=48 (local.get $quad)))
                      (v128.load offset=64 (local.get $quad))))
                  (v128.const f32x4 0 0 0 0)))
              (v128.const f32x4 0x1p23 0x1p23 0x1p23 0x1p23))
            (i32.const 1))
          (v128.load offset=96 (local.get $quad))))
      (local.set $windows (i32.load offset=112 (local.get $quad)))
      (if (i32.eq (local.get $windows) (i32.const 1))
        (then
          @{POSITIONS_ONE})
        (else
          (if (i32.eq (local.get $windows) (i32.const 2))
            (then
              @{POSITIONS_TWO})
            (else
              @{POSITIONS_MANY}))))
      (local.set $to (i32.add (local.get $to) (i32.const 8)))
      (local.set $row (i32.add (local.get $row) (i32.const 32)))
      (br_if $four (i32.lt_u (local.tee $quad (i32.add (local.get $quad) (i32.const 128))) (local.get $end))))
    (local.set $rows (i32.add (local.get $rows) (local.get $stride)))
    (br_if $next_row (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))

;; Ranks within one group of trees (i8, less 128), from positions: row after row.
@{RANKS_BY_ROW}

;; The same, feature after feature, 64 rows each.
@{RANKS_BY_FEATURE}
