//! Owns nothing: the smallest program that can be a `Compiler::Child`. The tests start it, and it shows what the hidden
//! command of a host does.

fn main() {
    hodoscope_engine::compile_child_main()
}
