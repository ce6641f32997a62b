//! Makes the bindings of the OpenPose shim, and the shim itself where OpenPose is.
//!
//! The shim (`ffi/`) becomes a shared library of its own, looked up at run time: the program builds, starts and
//! works without OpenPose. `OPENPOSE_DIR` names the folder in which OpenPose was built; without it, `/openpose`
//! is looked at, where the container image has it. Without the feature `openpose` nothing is made.

#[cfg(feature = "openpose")]
#[path = "ffi/version.rs"]
mod version;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "openpose")]
    openpose::build()?;
    Ok(())
}

#[cfg(feature = "openpose")]
mod openpose {
    use std::env;
    use std::error::Error;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::version;

    /// Its name ends as the system's shared libraries do; `engine/openpose/shim.rs` looks for it.
    const SHIM: &str = "liboppose_openpose.so";
    const HEADER: &str = "ffi/openpose_shim.h";
    const SOURCE: &str = "ffi/openpose_shim.cpp";
    const OPENPOSE_DIR: &str = "OPENPOSE_DIR";
    /// Where the container image has it.
    const IN_THE_IMAGE: &str = "/openpose";

    pub fn build() -> Result<(), Box<dyn Error>> {
        for watched in ["build.rs", "ffi/version.rs", HEADER, SOURCE] {
            println!("cargo:rerun-if-changed={watched}");
        }
        println!("cargo:rerun-if-env-changed={OPENPOSE_DIR}");
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
        bindings(&out)?;

        let asked_for = env::var_os(OPENPOSE_DIR).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let is_asked_for = asked_for.is_some();
        let folder = asked_for.unwrap_or_else(|| IN_THE_IMAGE.into());
        match OpenPose::find(&folder) {
            Ok(openpose) => {
                // Only where it is: cargo takes a watched file that is missing for changed, and builds all again.
                println!("cargo:rerun-if-changed={}", folder.join(LIBRARY).display());
                let shim = out.join(SHIM);
                openpose.build_shim(&shim)?;
                println!("cargo:rustc-env=OPPOSE_BUILT_SHIM={}", shim.display());
                println!("cargo:warning=OpenPose in {}: its shim is {}", folder.display(), shim.display());
                Ok(())
            }
            Err(missing) if is_asked_for => Err(format!("{OPENPOSE_DIR}: {missing}").into()),
            Err(_) => {
                println!(
                    "cargo:warning=no OpenPose in {IN_THE_IMAGE} and no {OPENPOSE_DIR}: built without the engine openpose"
                );
                Ok(())
            }
        }
    }

    /// What Rust sees of the header: functions that are looked up when the library is loaded.
    fn bindings(out: &Path) -> Result<(), Box<dyn Error>> {
        bindgen::Builder::default()
            .header(HEADER)
            .allowlist_function("oppose_shim_.*")
            .allowlist_type("oppose_shim_.*")
            .allowlist_var("OPPOSE_SHIM_.*")
            .dynamic_library_name("Functions")
            .dynamic_link_require_all(true)
            .wrap_unsafe_ops(true)
            .prepend_enum_name(false)
            .layout_tests(false)
            .generate()?
            .write_to_file(out.join("openpose_shim.rs"))?;
        Ok(())
    }

    const LIBRARY: &str = "build/src/openpose/libopenpose.so";

    /// A folder in which OpenPose was built.
    struct OpenPose {
        headers: PathBuf,
        /// OpenPose's own and Caffe's.
        libraries: [PathBuf; 2],
    }

    impl OpenPose {
        fn find(folder: &Path) -> Result<Self, String> {
            let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
            let headers = folder.join("include");
            let wrapper = headers.join("openpose/wrapper/wrapper.hpp");
            let macros = headers.join("openpose/core/macros.hpp");
            for needed in [&wrapper, &macros, &folder.join(LIBRARY)] {
                if !needed.exists() {
                    return Err(format!("there is no {}: is OpenPose built there?", needed.display()));
                }
            }
            let text = fs::read(&macros).map_err(|error| format!("{}: {error}", macros.display()))?;
            version::check(&String::from_utf8_lossy(&text))
                .map_err(|reason| format!("{}: {reason}", folder.display()))?;
            let libraries = [folder.join("build/src/openpose"), folder.join("build/caffe/lib")];
            Ok(Self { headers, libraries })
        }

        /// Compiles and links the shim. cc finds the compiler; it makes no shared libraries, so linking is ours.
        fn build_shim(&self, shim: &Path) -> Result<(), Box<dyn Error>> {
            let compiler = cc::Build::new()
                .cpp(true)
                .std("c++11")
                .pic(true)
                .opt_level(2)
                .warnings(true)
                .try_get_compiler()?;
            let mut command: Command = compiler.to_command();
            command.arg("-isystem").arg(&self.headers);
            for folder in ["/usr/include/opencv4", "/usr/local/include/opencv4"] {
                if Path::new(folder).exists() {
                    command.arg("-isystem").arg(folder);
                }
            }
            command.arg("-shared").arg(SOURCE).arg("-o").arg(shim);
            for folder in &self.libraries {
                command.arg("-L").arg(folder);
                command.arg(format!("-Wl,-rpath,{0},-rpath-link,{0}", folder.display()));
            }
            // As RPATH, which holds for the libraries of libraries too: libopenpose needs libcaffe, and does not always say where
            // it is. Linkers write RUNPATH by default, which holds for the shim's own alone.
            command.arg("-Wl,--disable-new-dtags");
            // The release shows cv::Mat in its interface, its successor does not: linked only where it is needed.
            command.args(["-lopenpose", "-pthread", "-Wl,--as-needed", "-lopencv_core"]);
            // An OpenPose of the other kind is noticed when the shim is loaded, not by a crash.
            command.args(["-Wl,-z,now", "-Wl,--no-undefined"]);
            let status = command.status()?;
            if !status.success() {
                return Err(format!("the OpenPose shim does not build ({status}): {command:?}").into());
            }
            Ok(())
        }
    }
}
