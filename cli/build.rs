//! Links the command to a fixed address.
//!
//! The dynamic loader would otherwise adjust 130,000 pointers at every start, which takes longer than what most commands
//! do, and keeps three megabytes from being shared with the file. Stack, heap and libraries stay where chance puts them;
//! the controllers, which serve others, are linked as usual.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
