//! Which of the saved values is taken as the state dict.

use crate::assemble::{Pickle, SIX, Zip, floats};
use crate::support::OneFile;
use zoo_formats::Checkpoint;

/// What a key leads to.
enum Saved {
    /// A dictionary with tensors of these names.
    Weights(&'static [&'static str]),
    /// A dictionary.
    Inner(&'static [(&'static str, Saved)]),
    /// A number.
    Number,
    /// A tensor.
    Tensor,
}

use Saved::{Inner, Number, Tensor, Weights};

fn write(mut pickle: Pickle, saved: &[(&str, Saved)]) -> Pickle {
    pickle = pickle.raw("}");
    for (key, value) in saved {
        pickle = pickle.text(key);
        pickle = match value {
            Weights(names) => {
                names.iter().fold(pickle.raw("}"), |pickle, name| pickle.text(name).tensor(&SIX).raw("s"))
            }
            Inner(inner) => write(pickle, inner),
            Number => pickle.int(1),
            Tensor => pickle.tensor(&SIX),
        };
        pickle = pickle.raw("s");
    }
    pickle
}

fn opened(saved: &[(&str, Saved)]) -> (OneFile, Checkpoint) {
    let pickle = write(Pickle::new(), saved).stop();
    let file = OneFile::of(&Zip::checkpoint(&pickle, &[&floats(&[0.0; 6])]).write());
    let checkpoint = file.open().unwrap();
    (file, checkpoint)
}

/// The path that was taken and the names of its tensors; the error otherwise.
fn taken(saved: &[(&str, Saved)]) -> Result<(String, Vec<String>), String> {
    let (file, checkpoint) = opened(saved);
    let weights = checkpoint.state_dict().map_err(|error| file.shown(&error))?;
    let path = checkpoint.origin().taken.as_ref().unwrap().path.clone();
    Ok((path, weights.names().map(str::to_owned).collect()))
}

fn path(saved: &[(&str, Saved)]) -> String {
    taken(saved).unwrap_or_else(|error| panic!("{error}")).0
}

fn names(names: &'static [&'static str]) -> Vec<String> {
    taken(&[("model", Weights(names))]).unwrap().1
}

#[test]
fn the_object_itself() {
    let saved = [("a", Tensor), ("b", Tensor), ("c", Tensor), ("d", Tensor), ("version", Number)];
    assert_eq!(path(&saved), "");
    // Few tensors among other things, and nothing else to take.
    assert_eq!(path(&[("weight", Tensor), ("epoch", Number), ("lr", Number)]), "");
}

#[test]
fn under_a_key() {
    for key in [
        "state_dict",
        "model_state_dict",
        "model",
        "net",
        "network",
        "module",
        "weights",
        "params",
        "generator",
    ] {
        let saved = [("epoch", Number), (key, Weights(&["a"])), ("discriminator", Weights(&["a"]))];
        assert_eq!(path(&saved), key);
    }
    assert_eq!(path(&[("my_net", Weights(&["a"])), ("epoch", Number)]), "my_net", "the only one");
    assert_eq!(path(&[("rng", Tensor), ("seed", Number), ("my_net", Weights(&["a"]))]), "my_net");
    assert_eq!(
        path(&[("model", Weights(&["a"])), ("state_dict", Weights(&["a"]))]),
        "state_dict",
        "the more telling"
    );
}

#[test]
fn further_inside() {
    assert_eq!(
        path(&[("model", Inner(&[("state_dict", Weights(&["a"])), ("name", Number)]))]),
        "model.state_dict"
    );
    assert_eq!(path(&[("a", Inner(&[("b", Inner(&[("c", Weights(&["a"]))]))]))]), "a.b.c");
    let error =
        taken(&[("a", Inner(&[("b", Inner(&[("c", Inner(&[("d", Inner(&[("e", Weights(&["a"]))]))]))]))]))]);
    assert_eq!(error.unwrap_err(), "x.pth holds no state dict: it is a dict with \"a\"");
}

#[test]
fn averages_come_last() {
    assert_eq!(path(&[("model_ema", Weights(&["a"])), ("model", Weights(&["a"]))]), "model");
    assert_eq!(path(&[("params_ema", Weights(&["a"])), ("params", Weights(&["a"]))]), "params");
    assert_eq!(path(&[("ema", Weights(&["a"])), ("net", Weights(&["a"]))]), "net");
    assert_eq!(
        path(&[("params_ema", Weights(&["a"])), ("step", Number)]),
        "params_ema",
        "if there is nothing else"
    );
    assert_eq!(
        path(&[("ema_state_dict", Weights(&["a"])), ("model_ema", Weights(&["a"]))]),
        "ema_state_dict"
    );
    let (_file, checkpoint) =
        opened(&[("ema", Inner(&[("model", Weights(&["a"]))])), ("schema", Weights(&["a"]))]);
    let averages: Vec<_> =
        checkpoint.dictionaries().iter().map(|found| (found.path.as_str(), found.ema)).collect();
    assert_eq!(averages, [("schema", false), ("ema.model", true)]);
}

#[test]
fn what_an_optimizer_remembers_is_no_network() {
    let saved = [
        ("optimizer", Inner(&[("state", Weights(&["exp_avg"]))])),
        ("optim_g", Weights(&["a"])),
        ("lr_scheduler", Weights(&["a"])),
        ("scaler", Weights(&["scale"])),
        ("hyper_parameters", Weights(&["a"])),
        ("my_net", Weights(&["a"])),
    ];
    assert_eq!(path(&saved), "my_net");
}

#[test]
fn two_that_are_equally_good_are_named() {
    let error = taken(&[("net_g", Weights(&["a"])), ("net_d", Weights(&["a"]))]).unwrap_err();
    assert_eq!(
        error,
        "x.pth holds several state dicts and nothing says which is meant: \"net_g\", \"net_d\""
    );
    let saved =
        [("g", Inner(&[("state_dict", Weights(&["a"]))])), ("d", Inner(&[("state_dict", Weights(&["a"]))]))];
    assert!(taken(&saved).unwrap_err().contains("\"g.state_dict\", \"d.state_dict\""));
}

#[test]
fn prefixes_are_taken_off_if_all_names_have_them() {
    assert_eq!(names(&["module.a", "module.b"]), ["a", "b"]);
    assert_eq!(names(&["module.a", "b"]), ["module.a", "b"]);
    assert_eq!(names(&["_orig_mod.module.a"]), ["a"]);
    assert_eq!(names(&["module._orig_mod.a", "module._orig_mod.b"]), ["a", "b"]);
    assert_eq!(names(&["model.a", "model.b"]), ["a", "b"]);
    assert_eq!(names(&["model._orig_mod.a"]), ["a"]);
    assert_eq!(names(&["model.model.a"]), ["model.a"], "an attribute is taken off once");
    assert_eq!(names(&["module."]), ["module."], "something must be left of each name");
    assert_eq!(names(&["module.module.a"]), ["a"]);
    assert_eq!(names(&["modules.a", "backbone.b"]), ["modules.a", "backbone.b"]);
    let (_file, checkpoint) = opened(&[("model", Weights(&["module.model.a"]))]);
    assert_eq!(checkpoint.origin().taken.as_ref().unwrap().prefix, "module.model.");
    assert_eq!(checkpoint.origin().to_string(), "\"model\", names without \"module.model.\"");
}

#[test]
fn names_are_kept_byte_for_byte() {
    let odd = ["", " ", "ä.β", "a..b", "line\nbreak", "a.", ".a"];
    let mut pickle = Pickle::new().raw("}");
    for name in odd {
        pickle = pickle.text(name).tensor(&SIX).raw("s");
    }
    // A name of Python 2 is a byte string.
    pickle = pickle.raw("U\x05bytes").tensor(&SIX).raw("s");
    let file = OneFile::of(&Zip::checkpoint(&pickle.stop(), &[&floats(&[0.0; 6])]).write());
    let checkpoint = file.open().unwrap();
    let names: Vec<_> = checkpoint.state_dict().unwrap().names().collect();
    assert_eq!(names, [&odd[..], &["bytes"]].concat());
}

#[test]
fn the_last_one_of_a_name_counts() {
    use crate::assemble::View;
    let pickle = Pickle::new().raw("}").text("a").tensor(&SIX).raw("s").text("b").tensor(&SIX).raw("s");
    let pickle =
        pickle.text("a").tensor(&View { size: &[1], stride: &[1], ..SIX }).raw("s").text("b").raw("Ns");
    let file = OneFile::of(&Zip::checkpoint(&pickle.stop(), &[&floats(&[0.0; 6])]).write());
    let checkpoint = file.open().unwrap();
    let weights = checkpoint.state_dict().unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a"]);
    assert_eq!(weights.get("a").unwrap().shape(), [1]);
}

#[test]
fn ordered_dictionaries_of_python_2_have_their_pairs_as_an_argument() {
    let pickle =
        Pickle::new().global("collections", "OrderedDict").raw("]](").text("w").tensor(&SIX).raw("ea");
    let pickle = pickle.raw([0x85, b'R']).stop();
    let file = OneFile::of(&Zip::checkpoint(&pickle, &[&floats(&[0.0; 6])]).write());
    let checkpoint = file.open().unwrap();
    assert_eq!(checkpoint.state_dict().unwrap().names().collect::<Vec<_>>(), ["w"]);
}

#[test]
fn a_pair_of_weights_and_a_number() {
    let pickle = write(Pickle::new(), &[("w", Tensor)]).int(3).raw([0x86]).stop();
    let file = OneFile::of(&Zip::checkpoint(&pickle, &[&floats(&[0.0; 6])]).write());
    let checkpoint = file.open().unwrap();
    assert_eq!(checkpoint.origin().taken.as_ref().unwrap().path, "[0]");
    assert_eq!(checkpoint.state_dict().unwrap().len(), 1);
}
