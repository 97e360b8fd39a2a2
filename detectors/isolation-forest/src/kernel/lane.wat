;; Wide forests: 64 rows at a time, one byte each. The nodes of a tree, children first, choose between the leaf numbers
;; of their two sides; the last one holds the number of each row's leaf. A node is 16 bytes: addresses of the ranks of
;; its feature, of its left and its right leaf numbers, then its threshold, which is above the ranks that go left; its
;; result lies 64 bytes behind the one before.

;; Adds the units of the trees of all groups to the sums of `count` rows, 64 at a time; the sums of the rows that fill
;; the last block up are garbage. A group is 12 bytes: its map, then its trees (address, end). A tree is 12 bytes: its
;; nodes (address, end), filled up to an even number, and the units by leaf number.
(func $lane (param $rows i32) (param $count i32) (param $out i32)
  (local $group i32) (local $end i32) (local $n i32) (local $positions i32) (local $ranks i32) (local $tree i32)
  (local.set $positions (i32.load offset=@{POSITIONS} (i32.const 0)))
  (local.set $ranks (i32.load offset=@{RANKS} (i32.const 0)))
  (local.set $end (i32.load offset=@{GROUPS_END} (i32.const 0)))
  (loop $next_block
    (local.set $n (select (local.get $count) (i32.const 64) (i32.lt_u (local.get $count) (i32.const 64))))
    (call $positions (local.get $rows) (local.get $n) (local.get $positions))
    (local.set $group (i32.load offset=@{GROUPS} (i32.const 0)))
    (loop $next_group
      (call $ranks_by_feature (local.get $positions) (local.get $n) (local.get $ranks) (i32.load (local.get $group)))
      (local.set $tree (i32.load offset=4 (local.get $group)))
      (loop $next_tree
        (call $lane_tree (i32.load (local.get $tree)) (i32.load offset=4 (local.get $tree))
          (i32.load offset=8 (local.get $tree)) (local.get $out))
        (br_if $next_tree
          (i32.lt_u (local.tee $tree (i32.add (local.get $tree) (i32.const 12))) (i32.load offset=8 (local.get $group)))))
      (br_if $next_group (i32.lt_u (local.tee $group (i32.add (local.get $group) (i32.const 12))) (local.get $end))))
    (local.set $out (i32.add (local.get $out) (i32.shl (local.get $n) (i32.const 3))))
    (local.set $rows
      (i32.add (local.get $rows)
        (i32.shl (i32.mul (local.get $n) (i32.load offset=@{COLUMNS} (i32.const 0))) (i32.const 3))))
    (br_if $next_block (local.tee $count (i32.sub (local.get $count) (local.get $n))))))

(func $lane_tree (param $node i32) (param $end i32) (param $units i32) (param $q i32)
  (local $to i32) (local $a i32) (local $b i32) (local $r i32) (local $t v128) (local $p i32) (local $last i32)
  (local.set $to (i32.load offset=@{CHOSEN} (i32.const 0)))
  (loop $nodes
    @{SELECT}
    (local.set $to (i32.add (local.get $to) (i32.const 128)))
    (br_if $nodes (i32.lt_u (local.tee $node (i32.add (local.get $node) (i32.const 32))) (local.get $end))))
  (local.set $p (i32.sub (local.get $to) (i32.const 64)))
  (loop $eight
    @{ADD_LEAVES}
    (local.set $q (i32.add (local.get $q) (i32.const 64)))
    (br_if $eight (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 8))) (local.get $to)))))
