//! NVRTC, CUDA's compiler as a library: loaded at run time, needed once per kind of GPU.

use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

use libloading::Library;

use crate::cuda::cache;
use crate::gpu::{ComputeCapability, CudaVersion};

/// The oldest version that supports Hopper's instructions.
const OLDEST: CudaVersion = CudaVersion { major: 12, minor: 0 };
/// The major versions to look for, the newest first.
const MAJORS: [u32; 2] = [13, 12];
/// The environment variable that names the folder or the file of the library.
pub const VARIABLE: &str = "OPPOSE_NVRTC";

/// Why code cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NvrtcError {
    /// The library was not found.
    #[error(
        "CUDA's compiler library libnvrtc.so.12 or .13 is not found: install it (`pip install nvidia-cuda-nvrtc-cu12`, \
         or CUDA's package cuda-nvrtc-12-9, or `module load cuda`), or name its file in {VARIABLE}; it is needed \
         once for each kind of GPU. Looked in {looked}"
    )]
    NotFound {
        /// The folders that were searched.
        looked: String,
    },
    /// The library is too old for the kernels.
    #[error("{} is NVRTC {found}, but {OLDEST} or later is needed", path.display())]
    TooOld {
        /// The library.
        path: PathBuf,
        /// Its version.
        found: CudaVersion,
    },
    /// A function of the library fails.
    #[error("NVRTC's {call} fails with code {code}")]
    Call {
        /// The function.
        call: &'static str,
        /// NVRTC's error code.
        code: c_int,
    },
    /// The library no longer supports the GPU.
    #[error(
        "{} (NVRTC {version}) compiles for GPUs from compute capability {oldest} on, but this one has {gpu}: \
         install NVRTC 12 (`pip install nvidia-cuda-nvrtc-cu12`, or CUDA's package cuda-nvrtc-12-9), or name its file in \
         {VARIABLE}",
        path.display()
    )]
    Gpu {
        /// The library.
        path: PathBuf,
        /// Its version.
        version: CudaVersion,
        /// The oldest compute capability that it supports.
        oldest: ComputeCapability,
        /// That of the GPU.
        gpu: ComputeCapability,
    },
    /// The compiler refuses the code, which is a defect of this program.
    #[error("NVRTC {version} refuses {name}: {log}")]
    Code {
        /// The library's version.
        version: CudaVersion,
        /// The name of the source file.
        name: String,
        /// The compiler's messages.
        log: String,
    },
}

/// CUDA's compiler. May be used from any thread.
#[derive(Debug)]
pub struct Nvrtc {
    library: Library,
    path: PathBuf,
    version: CudaVersion,
}

type Program = *mut c_void;
type SizeFunction = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type TextFunction = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// What a library can produce for a GPU, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    /// It supports only later GPUs.
    None,
    /// PTX, which the driver translates.
    Ptx,
    /// Machine code.
    Code,
}

/// What a library that supports these architectures, in order, can produce for a GPU, and for which of them.
fn fitness(known: &[c_int], gpu: ComputeCapability) -> (Fitness, c_int) {
    let wanted = (gpu.major * 10 + gpu.minor) as c_int;
    match known.iter().copied().filter(|&known| known <= wanted).max() {
        None => (Fitness::None, 0),
        // Machine code also runs on later revisions of its architecture.
        Some(nearest) if nearest / 10 == wanted / 10 => (Fitness::Code, nearest),
        Some(nearest) => (Fitness::Ptx, nearest),
    }
}

impl Nvrtc {
    /// Finds the library: at the path in `OPPOSE_NVRTC`, with the system's loader (which uses
    /// `LD_LIBRARY_PATH`), beside CUDA's toolkits, or among Python's packages.
    ///
    /// # Errors
    /// It was not found, or is too old.
    pub fn find() -> Result<Self, NvrtcError> {
        Self::first(|_| Ok(true))
    }

    /// Finds a library that supports this GPU: the first that makes machine code for it, otherwise the first
    /// that makes PTX, which the driver translates.
    ///
    /// # Errors
    /// There is none, none is new enough, or all support only later GPUs.
    pub fn find_for(gpu: ComputeCapability) -> Result<Self, NvrtcError> {
        let fits = |min_fitness: Fitness| {
            Self::first(|nvrtc| {
                let known = nvrtc.architectures()?;
                match fitness(&known, gpu).0 {
                    Fitness::None => Err(nvrtc.too_new(&known, gpu)),
                    fitness => Ok(fitness >= min_fitness),
                }
            })
        };
        fits(Fitness::Code).or_else(|_| fits(Fitness::Ptx))
    }

    /// The first library that is suitable; if none is, why the first that exists cannot be used.
    fn first(is_suitable: impl Fn(&Self) -> Result<bool, NvrtcError>) -> Result<Self, NvrtcError> {
        let candidates = candidates();
        let mut reason = None;
        for path in &candidates {
            // SAFETY: loading NVRTC runs its initialisers, which have no preconditions.
            let Ok(library) = (unsafe { Library::new(path) }) else { continue };
            let nvrtc = Self::new(library, path.clone());
            match nvrtc.and_then(|nvrtc| Ok(is_suitable(&nvrtc)?.then_some(nvrtc))) {
                Ok(Some(nvrtc)) => return Ok(nvrtc),
                Ok(None) => {}
                Err(error) => {
                    reason.get_or_insert(error);
                }
            }
        }
        if let Some(reason) = reason {
            return Err(reason);
        }
        let folders = candidates.iter().map(|path| match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => "the system's library folders".to_owned(),
            Some(folder) => folder.display().to_string(),
            None => String::new(),
        });
        let mut looked: Vec<String> = folders.collect();
        looked.dedup();
        Err(NvrtcError::NotFound { looked: looked.join(", ") })
    }

    fn new(library: Library, path: PathBuf) -> Result<Self, NvrtcError> {
        let mut nvrtc = Self { library, path, version: CudaVersion { major: 0, minor: 0 } };
        let (mut major, mut minor): (c_int, c_int) = (0, 0);
        // SAFETY: writes two ints.
        let code = unsafe {
            let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int =
                nvrtc.function("nvrtcVersion")?;
            version(&mut major, &mut minor)
        };
        check("nvrtcVersion", code)?;
        nvrtc.version = CudaVersion { major: major.max(0) as u32, minor: minor.max(0) as u32 };
        match nvrtc.version < OLDEST {
            true => Err(NvrtcError::TooOld { path: nvrtc.path, found: nvrtc.version }),
            false => Ok(nvrtc),
        }
    }

    /// The path of the library.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version.
    pub fn version(&self) -> CudaVersion {
        self.version
    }

    /// Looks up a function.
    ///
    /// # Safety
    /// `F` is the function's type.
    unsafe fn function<F: Copy>(&self, name: &'static str) -> Result<F, NvrtcError> {
        // SAFETY: the caller guarantees the type; the library stays loaded as long as `self`, and no
        // function outlives the call.
        let found = unsafe { self.library.get::<F>(name) };
        found.map(|function| *function).map_err(|_| NvrtcError::Call { call: name, code: -1 })
    }

    fn too_new(&self, known: &[c_int], gpu: ComputeCapability) -> NvrtcError {
        let oldest = known.first().copied().unwrap_or(0).max(0) as u32;
        let oldest = ComputeCapability { major: oldest / 10, minor: oldest % 10 };
        NvrtcError::Gpu { path: self.path.clone(), version: self.version, oldest, gpu }
    }

    /// The compute capabilities that it supports, in order: 70 for 7.0.
    fn architectures(&self) -> Result<Vec<c_int>, NvrtcError> {
        let mut count: c_int = 0;
        // SAFETY: the types are those of nvrtc.h; the array has as many elements as the library reports.
        unsafe {
            let number: unsafe extern "C" fn(*mut c_int) -> c_int =
                self.function("nvrtcGetNumSupportedArchs")?;
            check("nvrtcGetNumSupportedArchs", number(&mut count))?;
            let mut known = vec![0; count.max(0) as usize];
            let list: unsafe extern "C" fn(*mut c_int) -> c_int = self.function("nvrtcGetSupportedArchs")?;
            check("nvrtcGetSupportedArchs", list(known.as_mut_ptr()))?;
            known.sort_unstable();
            Ok(known)
        }
    }

    /// Compiles for a GPU: to machine code if the library supports the GPU, otherwise to PTX, which the driver translates.
    /// `is_specific` allows instructions that only this kind of GPU has.
    ///
    /// # Errors
    /// The library no longer supports the GPU, or refuses the code.
    pub fn compile(
        &self,
        name: &str,
        source: &str,
        headers: &[(&str, &str)],
        options: &[&str],
        gpu: ComputeCapability,
        is_specific: bool,
    ) -> Result<Vec<u8>, NvrtcError> {
        let known = self.architectures()?;
        let (fitness, nearest) = fitness(&known, gpu);
        if fitness == Fitness::None {
            return Err(self.too_new(&known, gpu));
        }
        let is_machine_code = fitness == Fitness::Code;
        let kind = if is_machine_code { "sm" } else { "compute" };
        let suffix = if is_specific { "a" } else { "" };
        let architecture = format!("--gpu-architecture={kind}_{nearest}{suffix}");
        let options: Vec<&str> =
            [architecture.as_str(), "--std=c++17", "--device-as-default-execution-space"]
                .iter()
                .chain(options)
                .copied()
                .collect();
        let program = self.program(name, source, headers)?;
        let outcome = self.compile_program(program, name, &options, is_machine_code);
        // SAFETY: created by `program`, and not used afterwards.
        unsafe {
            let destroy: unsafe extern "C" fn(*mut Program) -> c_int =
                self.function("nvrtcDestroyProgram")?;
            let mut program = program;
            destroy(&mut program);
        }
        outcome
    }

    fn program(&self, name: &str, source: &str, headers: &[(&str, &str)]) -> Result<Program, NvrtcError> {
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (source, name) = (text(source), text(name));
        let names: Vec<CString> = headers.iter().map(|(name, _)| text(name)).collect();
        let texts: Vec<CString> = headers.iter().map(|(_, source)| text(source)).collect();
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let (names, texts) = (pointers(&names), pointers(&texts));
        let mut program = ptr::null_mut();
        // SAFETY: the type is nvrtc.h's; all strings end with 0 and live until the call is over.
        let code = unsafe {
            type Create = unsafe extern "C" fn(
                *mut Program,
                *const c_char,
                *const c_char,
                c_int,
                *const *const c_char,
                *const *const c_char,
            ) -> c_int;
            let create: Create = self.function("nvrtcCreateProgram")?;
            let count = headers.len() as c_int;
            create(&mut program, source.as_ptr(), name.as_ptr(), count, texts.as_ptr(), names.as_ptr())
        };
        check("nvrtcCreateProgram", code)?;
        Ok(program)
    }

    fn compile_program(
        &self,
        program: Program,
        name: &str,
        options: &[&str],
        is_machine_code: bool,
    ) -> Result<Vec<u8>, NvrtcError> {
        let options: Vec<CString> =
            options.iter().map(|&option| CString::new(option).unwrap_or_default()).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: the type is nvrtc.h's; the options live until the call is over.
        let code = unsafe {
            type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
            let compile: Compile = self.function("nvrtcCompileProgram")?;
            compile(program, pointers.len() as c_int, pointers.as_ptr())
        };
        if code != 0 {
            let log = self.text(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog")?;
            let log = CStr::from_bytes_until_nul(&log).map(|log| log.to_string_lossy().trim().to_owned());
            let log = log.unwrap_or_default();
            return Err(NvrtcError::Code { version: self.version, name: name.into(), log });
        }
        match is_machine_code {
            true => self.text(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN"),
            false => self.text(program, "nvrtcGetPTXSize", "nvrtcGetPTX"),
        }
    }

    fn text(&self, program: Program, size: &'static str, get: &'static str) -> Result<Vec<u8>, NvrtcError> {
        // SAFETY: the types are nvrtc.h's; the second function writes as many bytes as the first reports.
        unsafe {
            let mut bytes = 0;
            check(size, self.function::<SizeFunction>(size)?(program, &mut bytes))?;
            let mut text = vec![0u8; bytes];
            check(get, self.function::<TextFunction>(get)?(program, text.as_mut_ptr().cast()))?;
            Ok(text)
        }
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), NvrtcError> {
    if code == 0 { Ok(()) } else { Err(NvrtcError::Call { call, code }) }
}

/// Paths that may be the library, in the order in which they are tried.
fn candidates() -> Vec<PathBuf> {
    let names: Vec<String> = MAJORS.iter().map(|major| format!("libnvrtc.so.{major}")).collect();
    let mut candidates = Vec::new();
    let mut add_folder = |folder: &Path| candidates.extend(names.iter().map(|name| folder.join(name)));
    if let Some(named) = env::var_os(VARIABLE).map(PathBuf::from) {
        if named.is_file() {
            return vec![named];
        }
        add_folder(&named);
    }
    add_folder(Path::new(""));
    for variable in ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"] {
        if let Some(folder) = env::var_os(variable) {
            add_folder(&Path::new(&folder).join("lib64"));
        }
    }
    add_folder(Path::new("/usr/local/cuda/lib64"));
    for major in MAJORS {
        add_folder(Path::new(&format!("/usr/local/cuda-{major}/lib64")));
    }
    for packages in python_packages(&cache::shipped_folders()) {
        add_folder(&packages.join("nvidia/cu13/lib"));
        add_folder(&packages.join("nvidia/cuda_nvrtc/lib"));
    }
    candidates
}

/// Python's package folders: the one that this program was installed in, and those of the active environment, the user and
/// the system.
fn python_packages(shipped: &[PathBuf]) -> Vec<PathBuf> {
    let own = shipped.iter().flat_map(|folder| folder.ancestors()).filter(|folder| {
        folder.file_name().is_some_and(|name| name == "site-packages" || name == "dist-packages")
    });
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let user = env::var_os("HOME").map(|home| Path::new(&home).join(".local"));
    let roots = environments.chain(user).chain(["/usr/local".into(), "/usr".into()]);
    let others = roots.flat_map(|root| {
        let versions = root.join("lib").read_dir().into_iter().flatten().flatten();
        let versions = versions.filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"));
        versions.flat_map(|entry| ["site-packages", "dist-packages"].map(|name| entry.path().join(name)))
    });
    let mut found: Vec<PathBuf> =
        own.map(Path::to_owned).chain(others).filter(|folder| folder.is_dir()).collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_missing_library_says_how_to_install_it() {
        match Nvrtc::find() {
            Ok(nvrtc) => assert!(nvrtc.version() >= OLDEST),
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.contains("pip install nvidia-cuda-nvrtc") && error.contains(VARIABLE),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn the_package_folder_of_the_program_is_searched_first() {
        let folder = tempfile::tempdir().unwrap();
        let packages = folder.path().join("lib/python3.9/site-packages");
        let kernels = packages.join("oppose/bin/kernels");
        std::fs::create_dir_all(&kernels).unwrap();
        assert_eq!(python_packages(&[kernels]).first(), Some(&packages));
    }

    #[test]
    fn the_best_architecture_for_the_card_is_chosen() {
        let gpu = |major, minor| ComputeCapability { major, minor };
        let (twelve, thirteen) = ([50, 70, 75, 80, 86, 89, 90, 100, 120], [75, 80, 86, 89, 90, 100, 120]);
        assert_eq!(fitness(&thirteen, gpu(7, 0)), (Fitness::None, 0));
        assert_eq!(fitness(&twelve, gpu(7, 0)), (Fitness::Code, 70));
        assert_eq!(fitness(&twelve, gpu(8, 7)), (Fitness::Code, 86));
        assert_eq!(fitness(&[50, 60, 70], gpu(8, 0)), (Fitness::Ptx, 70));
        assert_eq!(fitness(&[], gpu(8, 0)), (Fitness::None, 0));
        assert!(Fitness::Code > Fitness::Ptx && Fitness::Ptx > Fitness::None);
    }

    #[test]
    fn a_compiler_that_no_longer_supports_the_card_names_the_limit() {
        let gpu = ComputeCapability { major: 7, minor: 0 };
        let error = NvrtcError::Gpu {
            path: "libnvrtc.so.13".into(),
            version: CudaVersion { major: 13, minor: 0 },
            oldest: ComputeCapability { major: 7, minor: 5 },
            gpu,
        };
        assert!(
            error.to_string().contains("from compute capability 7.5 on, but this one has 7.0"),
            "{error}"
        );
    }
}
