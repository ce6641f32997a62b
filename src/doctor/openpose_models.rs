//! OpenPose's models: whether they are present, readable and as published.

use std::path::Path;

use super::Check;
use crate::Chain;
use crate::engine::models;
use crate::engine::native::model::Net;

/// Where to get the models.
const SOURCE: &str = "name OpenPose's models folder with --model-folder or OPPOSE_MODELS; the container image cwaffles/openpose has it in /openpose/models";

/// One check per net, after one of the folder.
pub fn checks(explicit: Option<&Path>) -> Vec<Check> {
    let wanted = Net::Body25.caffemodel();
    match models::find(explicit, wanted.as_ref()) {
        Err(error) => {
            let found = format!("no {wanted} in {}", models::listed(&error.searched));
            vec![Check::missing("OpenPose models", found).next(SOURCE)]
        }
        Ok(folder) => {
            let mut checks = vec![Check::good("OpenPose models", folder.display().to_string())];
            checks.extend(Net::OF_A_PERSON.map(|net| net_check(net, &folder)));
            checks
        }
    }
}

fn net_check(net: Net, folder: &Path) -> Check {
    let name = net.caffemodel();
    let (bytes, md5) = match net.md5(folder) {
        Ok(found) => found,
        Err(error) => return Check::missing(name, Chain(&error).to_string()).next(SOURCE),
    };
    // A truncated or mismatching file makes OpenPose abort: it is read as a whole here.
    if let Err(error) = net.read(folder) {
        return Check::missing(name, Chain(&error).to_string())
            .next(format!("fetch the file again; the published one has MD5 {}", net.published_md5()));
    }
    if md5 == net.published_md5() {
        Check::good(name, format!("{bytes} bytes, as published (MD5 {md5})"))
    } else {
        Check::note(name, format!("{bytes} bytes, readable, but not the published file (MD5 {md5})"))
            .next(format!("right for nets of your own; the published file has MD5 {}", net.published_md5()))
    }
}
