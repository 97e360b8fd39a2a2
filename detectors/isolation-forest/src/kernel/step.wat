;; One step of $@ from a node to the child that the row takes; NaN fails the comparison and goes right.
(local.set $@
  (select
    (i32.add (local.get $@) (i32.const 16))
    (i32.load offset=8 (local.get $@))
    (f32.le
      (f32.demote_f64 (f64.load (i32.add (local.get $row) (i32.load offset=4 (local.get $@)))))
      (f32.load (local.get $@)))))
