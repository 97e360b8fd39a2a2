;; The canonical ABI by hand: memory for arguments and answers, and the exported functions.

;; Where the next answer may lie. 0 until first used; then from @{HEAP} upwards, and back to it after each call.
(global $next (mut i32) (i32.const 0))

;; `size` bytes, 16-aligned, followed by slack into which a block of padded rows may read or write.
(func $alloc (param $size i32) (result i32)
  (local $at i32) (local $missing i64)
  (if (i32.eqz (global.get $next)) (then (call $reset)))
  (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
  (local.set $missing
    (i64.sub
      (i64.add
        (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size)))
        (i64.const @{SLACK}))
      (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16))))
  (if (i64.gt_s (local.get $missing) (i64.const 0))
    (then
      (if (i32.eq
            (memory.grow (i32.wrap_i64 (i64.shr_u (i64.add (local.get $missing) (i64.const 65535)) (i64.const 16))))
            (i32.const -1))
        (then unreachable))))
  (global.set $next (i32.add (local.get $at) (local.get $size)))
  (local.get $at))

;; Forgets every answer: the post-return of all calls.
(func $reset
  (global.set $next (i32.load offset=@{HEAP} (i32.const 0))))

(func $post_return (param i32)
  (call $reset))

(func $realloc (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
  (local $at i32)
  (local.set $at (call $alloc (local.get $size)))
  (memory.copy (local.get $at) (local.get $old)
    (select (local.get $old_size) (local.get $size) (i32.lt_u (local.get $old_size) (local.get $size))))
  (local.get $at))

(func $describe (result i32)
  (i32.load offset=@{DESCRIBE} (i32.const 0)))

;; Writes `number` in decimal and `text` after it; gives the address and leaves the length in $said.
(global $said (mut i32) (i32.const 0))
(func $say (param $number i32) (param $text i32) (param $len i32) (result i32)
  (local $at i32) (local $digits i32) (local $rest i32)
  (local.set $rest (local.get $number))
  (loop $count
    (local.set $digits (i32.add (local.get $digits) (i32.const 1)))
    (local.set $rest (i32.div_u (local.get $rest) (i32.const 10)))
    (br_if $count (local.get $rest)))
  (global.set $said (i32.add (local.get $digits) (local.get $len)))
  (local.set $at (call $alloc (global.get $said)))
  (memory.copy (i32.add (local.get $at) (local.get $digits)) (local.get $text) (local.get $len))
  (loop $write
    (local.set $digits (i32.sub (local.get $digits) (i32.const 1)))
    (i32.store8 (i32.add (local.get $at) (local.get $digits))
      (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
    (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
    (br_if $write (local.get $digits)))
  (local.get $at))

;; 0 if the batch has the right shape, else the address of an answer that refuses it as `wrong-shape`. `payload` is
;; where the answer's variant keeps its content: 4, or 8 where it holds an f64.
(func $refusal (param $columns i32) (param $len i32) (param $payload i32) (result i32)
  (local $text i32) (local $area i32)
  (if (i32.ne (local.get $columns) (i32.load offset=@{COLUMNS} (i32.const 0)))
    (then
      (local.set $text
        (call $say (local.get $columns)
          (i32.load offset=@{WIDTH_TEXT} (i32.const 0)) (i32.load offset=@{WIDTH_TEXT_LEN} (i32.const 0)))))
    (else
      (if (i32.eqz (i32.rem_u (local.get $len) (local.get $columns))) (then (return (i32.const 0))))
      (local.set $text
        (call $say (local.get $len)
          (i32.load offset=@{COUNT_TEXT} (i32.const 0)) (i32.load offset=@{COUNT_TEXT_LEN} (i32.const 0))))))
  (local.set $area (call $alloc (i32.const 40)))
  (i32.store8 (local.get $area) (i32.const 1))
  (local.set $payload (i32.add (local.get $area) (local.get $payload)))
  (i32.store8 (local.get $payload) (i32.const 0))
  (i32.store offset=4 (local.get $payload) (local.get $text))
  (i32.store offset=8 (local.get $payload) (global.get $said))
  (local.get $area))

(func $score (param $columns i32) (param $rows i32) (param $len i32) (result i32)
  (local $area i32) (local $out i32) (local $count i32)
  (local.set $area (call $refusal (local.get $columns) (local.get $len) (i32.const 4)))
  (if (local.get $area) (then (return (local.get $area))))
  (local.set $count (i32.div_u (local.get $len) (local.get $columns)))
  (local.set $out (call $scores (local.get $rows) (local.get $count)))
  (local.set $area (call $alloc (i32.const 16)))
  (i32.store8 (local.get $area) (i32.const 0))
  (i32.store offset=4 (local.get $area) (local.get $out))
  (i32.store offset=8 (local.get $area) (local.get $count))
  (local.get $area))

(func $explain (param $columns i32) (param $rows i32) (param $len i32) (result i32)
  (local $area i32) (local $out i32) (local $count i32)
  (local.set $area (call $refusal (local.get $columns) (local.get $len) (i32.const 8)))
  (if (local.get $area) (then (return (local.get $area))))
  (local.set $count (i32.div_u (local.get $len) (local.get $columns)))
  (local.set $out (call $scores (local.get $rows) (local.get $count)))
  (local.set $area (call $alloc (i32.const 32)))
  (i32.store8 (local.get $area) (i32.const 0))
  (i32.store offset=8 (local.get $area) (local.get $out))
  (i32.store offset=12 (local.get $area) (local.get $count))
  (f64.store offset=16 (local.get $area) (f64.load offset=@{BASELINE} (i32.const 0)))
  (local.set $out (call $alloc (i32.shl (local.get $len) (i32.const 3))))
  (call $attribute (local.get $rows) (local.get $count) (local.get $out))
  (i32.store offset=24 (local.get $area) (local.get $out))
  (i32.store offset=28 (local.get $area) (local.get $len))
  (local.get $area))

;; Scores `count` rows: sums of units first, in place of the scores, then `2^` of them.
(func $scores (param $rows i32) (param $count i32) (result i32)
  (local $out i32)
  (local.set $out (call $alloc (i32.shl (local.get $count) (i32.const 3))))
  (call $sums (local.get $rows) (local.get $count) (local.get $out))
  (call $finish (local.get $out) (local.get $count))
  (local.get $out))

(export "memory" (memory $memory))
(export "cabi_realloc" (func $realloc))
(export "hodoscope:detector/scoring@0.1.0#describe" (func $describe))
(export "hodoscope:detector/scoring@0.1.0#score" (func $score))
(export "hodoscope:detector/explaining@0.1.0#explain" (func $explain))
(export "cabi_post_hodoscope:detector/scoring@0.1.0#score" (func $post_return))
(export "cabi_post_hodoscope:detector/explaining@0.1.0#explain" (func $post_return))
