//! The build script of every program: links it to a fixed address, as Go does.
//!
//! The dynamic loader would otherwise adjust 130,000 pointers at every start. That takes longer than what most commands
//! do, and every process gets megabytes of its own that it could share with the file. Stack, heap and libraries stay
//! where chance puts them.

fn main() {
    println!("cargo::rerun-if-changed=../config/build/fixed_address.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
