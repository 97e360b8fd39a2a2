;; A guest with two features, `a` and `b`, whose score of a row is 1 / (1 + |a|), or 0.5 if `a` is missing. Tests put
;; other code into the places in double braces.
(module
  {{imports}}
  (memory (export "memory") {{pages}})
  ;; Memory up to here is fixed; calls allocate above, and post-return frees all of it.
  (global $top (mut i32) (i32.const 65536))
  (global $calls (mut i32) (i32.const 0))
  ;; The description at 1024: features at 1100, no threshold, no metadata.
  (data (i32.const 1024) "{{description}}")
  ;; Features `a` and `b`, without units.
  (data (i32.const 1100) "\b0\04\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
  (data (i32.const 1120) "\b1\04\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
  (data (i32.const 1200) "ab")
  ;; A refusal `wrong-shape("no")` at 1300, and `bad-value(({row: 1, column: 0}, "no"))` at 1400, as results of `score`.
  (data (i32.const 1280) "no")
  (data (i32.const 1300) "\01\00\00\00\00\00\00\00\00\05\00\00\02\00\00\00")
  (data (i32.const 1400) "\01\00\00\00\02\00\00\00\01\00\00\00\01\00\00\00\01\00\00\00\00\00\00\00\00\05\00\00\02\00\00\00")
  (data (i32.const 1500) "\01\00\00\00\03\00\00\00\00\05\00\00\02\00\00\00")
  {{items}}
  (func $allocate (param $size i32) (param $align i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
               (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (block $enough
      (br_if $enough (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $enough
        (i32.ne (i32.const -1)
          (memory.grow
            (i32.sub (i32.div_u (i32.add (global.get $top) (i32.const 65535)) (i32.const 65536)) (memory.size)))))
      unreachable)
    (local.get $at))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    {{realloc}}
    (call $allocate (local.get 3) (local.get 2)))
  (func (export "hodoscope:detector/scoring@{{version}}#describe") (result i32)
    {{describe}}
    (i32.const 1024))
  (func $f (param $x f64) (result f64)
    (if (result f64) (f64.ne (local.get $x) (local.get $x))
      (then (f64.const 0.5))
      (else (f64.div (f64.const 1) (f64.add (f64.const 1) (f64.abs (local.get $x)))))))
  (func $score (export "hodoscope:detector/scoring@{{version}}#score")
    (param $columns i32) (param $values i32) (param $length i32) (result i32)
    (local $rows i32) (local $scores i32) (local $row i32) (local $answer i32) (local $first f64)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.ne (local.get $columns) (i32.const 2)) (then (return (i32.const 1300))))
    (if (i32.and (local.get $length) (i32.const 1)) (then (return (i32.const 1300))))
    (local.set $rows (i32.shr_u (local.get $length) (i32.const 1)))
    (if (local.get $rows) (then (local.set $first (f64.load (local.get $values)))))
    {{always}}
    (if (f64.eq (local.get $first) (f64.const 777)) (then {{triggered}}))
    (local.set $scores (call $allocate (i32.shl (local.get $rows) (i32.const 3)) (i32.const 8)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
        (f64.store
          (i32.add (local.get $scores) (i32.shl (local.get $row) (i32.const 3)))
          (call $f (f64.load (i32.add (local.get $values) (i32.shl (local.get $row) (i32.const 4))))))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $next)))
    {{scored}}
    (local.set $answer (call $allocate (i32.const 28) (i32.const 4)))
    (i32.store (local.get $answer) (i32.const 0))
    (i32.store offset=4 (local.get $answer) (local.get $scores))
    (i32.store offset=8 (local.get $answer) (local.get $rows))
    {{answered}}
    (local.get $answer))
  (func (export "cabi_post_hodoscope:detector/scoring@{{version}}#score") (param i32)
    {{post}}
    (global.set $top (i32.const 65536)))
  {{explain}}
)
