//! What it costs that values cross into a component as f64 and are narrowed inside, rather than as f32: the measurement
//! behind the contract's choice. A guest that does nothing else, so that the whole difference shows.

use std::cell::RefCell;

use wasmtime::component::{Component, Linker, TypedFunc};
use wasmtime::{Config, Engine, Store};

use crate::Bench;
use crate::measure::{CORE, Measurement, interleave, pin, time};
use crate::table::{Table, Target, short};

/// `narrow` takes the list and is done; `wide` narrows each pair of f64 to f32 in place, as the forest kernel must.
const GUEST: &str = r#"
(component
  (core module $guest
    (memory (export "memory") 64)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "narrow") (param i32 i32) (result i32) (local.get 1))
    (func (export "wide") (param $from i32) (param $count i32) (result i32)
      (local $to i32) (local $end i32)
      (local.set $to (local.get $from))
      (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 3))))
      (loop $next
        (v128.store64_lane 0 (local.get $to)
          (f32x4.demote_f64x2_zero (v128.load (local.get $from))))
        (local.set $to (i32.add (local.get $to) (i32.const 8)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br_if $next (i32.lt_u (local.get $from) (local.get $end))))
      (local.get $count)))
  (core instance $g (instantiate $guest))
  (func (export "narrow") (param "values" (list f32)) (result u32)
    (canon lift (core func $g "narrow") (memory $g "memory") (realloc (func $g "realloc"))))
  (func (export "wide") (param "values" (list f64)) (result u32)
    (canon lift (core func $g "wide") (memory $g "memory") (realloc (func $g "realloc")))))
"#;

/// Columns of the measured rows.
const COLUMNS: usize = 30;

/// Measures 1, 32 and 1,024 rows.
pub(crate) fn run(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    pin(CORE)?;
    let engine = Engine::new(&Config::new())?;
    let component = Component::new(&engine, wat::parse_str(GUEST)?)?;
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component)?;
    let wide: TypedFunc<(&[f64],), (u32,)> = instance.get_typed_func(&mut store, "wide")?;
    let narrow: TypedFunc<(&[f32],), (u32,)> = instance.get_typed_func(&mut store, "narrow")?;
    let store = RefCell::new(store);
    for rows in [1, 32, 1024] {
        let doubles = vec![0.25f64; rows * COLUMNS];
        let singles = vec![0.25f32; rows * COLUMNS];
        let seconds = bench.size(0.2, 0.001);
        let call_wide = || wide.call(&mut *store.borrow_mut(), (&doubles,)).map(drop);
        let call_narrow = || narrow.call(&mut *store.borrow_mut(), (&singles,)).map(drop);
        let mut measurements: [Measurement<'_>; 2] = [
            Box::new(|| Ok(time(seconds, call_wide)?)),
            Box::new(|| Ok(time(seconds, call_narrow)?)),
        ];
        let figures = interleave(bench.size(7, 1), &mut measurements)?;
        let &[ours, peer] = figures.as_slice() else {
            continue;
        };
        let per_row = |seconds: f64| format!("{} ns/row", short(seconds / rows as f64 * 1e9));
        let what =
            format!("{rows} × {COLUMNS} values into a component: f64 and narrowed inside, vs f32");
        let (ours_text, peer_text) = (per_row(ours), per_row(peer));
        table.against(
            &format!("boundary.{rows}"),
            &what,
            ours_text,
            peer_text,
            ours / peer,
            Target::None,
        );
    }
    pin("0,1")
}
